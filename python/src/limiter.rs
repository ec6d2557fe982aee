//! The keyed limiters: buckets and windows, and what they have in common.

mod sit_out;
mod taking;

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use limitpal::parts::{Keyed, Part, Turn};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

pub(crate) use self::sit_out::sit_out;
use crate::ask::{self, Cost, Key, Keys};
use crate::clock::PyClock;
use crate::counting::Counting;
use crate::decision::Decision;
use crate::limiter_repr as repr;
use crate::observe::{Observers, Subscription};
use crate::options::{Functions, Options};
use crate::place::{self, Patience, Place, movable};
use crate::seconds;
use crate::{errors, live, stats};

/// What a window may be.
pub(crate) const WINDOW: &str = "give a time in seconds, 0 or more";

/// What the limiters that count by key have in common.
#[pyclass(frozen, subclass, module = "limitpal._limitpal", weakref)]
#[derive(Default)]
pub(crate) struct KeyedLimiter {
    /// Set by `__init__`, so that subclasses may have an `__init__` of their own.
    inner: OnceLock<Inner>,
}

pub(crate) struct Inner {
    pub(crate) counting: Counting,
    /// The one reference to it is shared with the core, so that the garbage collector sees it.
    pub(crate) key_by: Option<Arc<Py<PyAny>>>,
    /// As `key_by`.
    pub(crate) quota: Option<Arc<Py<PyAny>>>,
    pub(crate) observers: Observers,
}

impl KeyedLimiter {
    /// Does what `__init__` does, once.
    pub(crate) fn init(&self, options: &Options<'_, '_>) -> PyResult<()> {
        let (key_by, quota) = (options.key_by()?, options.quota()?);
        let counting = options.counting(Functions { key_by: &key_by, quota: &quota })?;
        let again = |_| PyTypeError::new_err("__init__() was called before; make another limiter");
        let observers = Observers::default();
        self.inner.set(Inner { counting, key_by, quota, observers }).map_err(again)
    }

    #[inline]
    pub(crate) fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| {
            PyTypeError::new_err("the limiter is not made yet; call super().__init__() first")
        })
    }

    /// Returns the buckets of one that has some.
    #[inline]
    pub(crate) fn keyed(&self) -> PyResult<&Arc<Keyed<PyClock>>> {
        match &self.inner()?.counting {
            Counting::Buckets(keyed) => Ok(keyed),
            _ => Err(PyTypeError::new_err("the limiter is no plain bucket")),
        }
    }

    /// Returns how it counts.
    pub(crate) fn counting(&self) -> PyResult<&Counting> {
        Ok(&self.inner()?.counting)
    }

    /// Returns the limiter, however it counts.
    #[inline]
    pub(crate) fn part(&self) -> PyResult<&dyn Part<PyClock>> {
        Ok(self.inner()?.counting.part())
    }

    /// As `part`, to be kept.
    pub(crate) fn shared(&self) -> PyResult<Arc<dyn Part<PyClock>>> {
        Ok(self.inner()?.counting.shared())
    }

    /// Returns whether a decision calls the user's own code: a clock, `key_by`, `quota`, or an
    /// observer.
    #[inline]
    pub(crate) fn calls_python(&self) -> PyResult<bool> {
        let part = self.part()?;
        let is_own = matches!(part.source(), PyClock::Python(_)) || part.teller().is_heard();
        let Inner { key_by, quota, .. } = self.inner()?;
        Ok(is_own || key_by.is_some() || quota.is_some())
    }

    /// Returns whether a thread that sleeps cannot be moved.
    #[inline]
    pub(crate) fn is_fixed(&self) -> PyResult<bool> {
        Ok(match &self.inner()?.counting {
            Counting::Fair(fair) => place::is_fixed(&**fair),
            _ => true,
        })
    }

    /// Returns one whose keys have something of their own; a call that is about that has no sense
    /// in another.
    fn of_keys(&self, call: &str) -> PyResult<&dyn Part<PyClock>> {
        if let Counting::Fair(_) = self.inner()?.counting {
            return Err(PyTypeError::new_err(format!(
                "a FairBucket has no {call}(): all keys share one bucket; use one of theirs beside it"
            )));
        }
        self.part()
    }
}

#[pymethods]
impl KeyedLimiter {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        Err(PyTypeError::new_err("KeyedLimiter is a base; make a TokenBucket or a LeakyBucket"))
    }

    /// Take if possible now; never wait.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn allow(&self, key: Key<'_>, cost: Cost) -> PyResult<bool> {
        match &self.inner()?.counting {
            Counting::Buckets(keyed) => keyed.allow_or_tell(key.as_str(), cost.0),
            other => other.part().allow(key.as_str(), cost.0),
        }
    }

    /// Ask for many keys at one reading of the clock; the answers are in their order.
    #[pyo3(signature = (keys, cost = Cost::ONE), text_signature = "($self, keys, cost=1)")]
    fn allow_many<'py>(
        &self,
        py: Python<'py>,
        keys: Keys<'_, 'py>,
        cost: Cost,
    ) -> PyResult<Bound<'py, PyList>> {
        let answers = match &self.inner()?.counting {
            Counting::Buckets(keyed) if !keyed.teller().is_heard() => {
                let keys = keys.map(|key| keyed.fingerprint(key))?;
                keyed.allow_many(&keys, |key| (*key, cost.0))?
            }
            other => {
                let texts = keys.map(|key| Ok(key.to_owned()))?;
                let asks: Vec<_> = texts.iter().map(|key| (key.as_str(), cost.0)).collect();
                other.part().allow_many(&asks)?
            }
        };
        ask::list(py, &answers)
    }

    /// Wait for the turn; raise `RateLimitExceeded` at once if that would exceed `timeout`.
    ///
    /// A timeout of 0 never waits, a negative one is 0. Those who wait for one key go in the order
    /// in which they came.
    #[pyo3(signature = (key = Key::DEFAULT, timeout = None, cost = Cost::ONE), text_signature = "($self, key='default', timeout=None, cost=1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<()> {
        let timeout = seconds::timeout("timeout", timeout)?;
        self.wait_for(py, &key, timeout, cost)
    }

    /// As `allow`, with the numbers.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn check(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.part()?.check(key.as_str(), cost.0).map(Decision::from)
    }

    /// Say what `check` would say, without taking and without creating the key.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn peek(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.part()?.peek(key.as_str(), cost.0).map(Decision::from)
    }

    /// Return the most permits that one key can be admitted in any window of so many seconds.
    ///
    /// Both ends count. It is what the worst caller gets, nearly: of a bucket
    /// `capacity + rate * window`, rounded down. A reset, and an eviction that `evicted_live` counts, begin a bucket anew, with
    /// a burst that is not counted here. It saturates at 2^64-1.
    ///
    /// >>> from limitpal import TokenBucket
    /// >>> [TokenBucket.per("100/minute", burst=burst).bound(60) for burst in (None, 10)]
    /// [200, 110]
    ///
    /// It speaks of keys without limits of their own; with `key`, of that one.
    #[pyo3(signature = (window, key = None))]
    fn bound(&self, window: &Bound<'_, PyAny>, key: Option<Key<'_>>) -> PyResult<u64> {
        let (part, window) = (self.part()?, seconds::window("window", window, WINDOW)?);
        key.map_or_else(|| Ok(part.bound(window)), |key| part.bound_of(key.as_str(), window))
    }

    /// Close a key for so many seconds, for a server that said "retry after".
    ///
    /// It is refused a nanosecond before, and admitted at it if it could be then anyway; what it
    /// holds goes on refilling. A key that is closed for longer stays so; `reset` opens it. Those
    /// who wait go in their order once it is open; who would wait longer than its timeout is
    /// turned away. Return whether it is closed: not where `max_buckets` leaves no room for a key
    /// that is new.
    ///
    /// >>> from limitpal import MockClock, TokenBucket
    /// >>> limiter = TokenBucket(capacity=10, refill_rate=5, clock=MockClock())
    /// >>> limiter.penalise("api", 30)
    /// True
    /// >>> limiter.peek("api").retry_after
    /// 30.0
    fn penalise(&self, key: Key<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.of_keys("penalise")?.penalise(key.as_str(), live::span(seconds)?)
    }

    /// Give back permits that a key took last and did not use: at most what it lacks to be as new.
    ///
    /// >>> from limitpal import MockClock, TokenBucket
    /// >>> limiter = TokenBucket(capacity=10, refill_rate=1, clock=MockClock())
    /// >>> limiter.allow("ann", cost=8), limiter.give_back("ann", cost=3)
    /// (True, None)
    /// >>> limiter.get_tokens("ann")
    /// 5.0
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn give_back(&self, key: Key<'_>, cost: Cost) -> PyResult<()> {
        self.of_keys("give_back")?.return_some(key.as_str(), cost.0)
    }

    /// Take a key's own limits away: it goes by those of all from now on.
    #[pyo3(signature = (key, carry = None), text_signature = "($self, key, carry='proportional')")]
    fn unconfigure(&self, key: Key<'_>, carry: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.of_keys("unconfigure")?.unconfigure(key.as_str(), live::carry(carry)?)
    }

    /// Call `observer` with each event from now on; return what ends it.
    ///
    /// It is called in the thread or task whose call it tells of, before that call returns and under
    /// no lock. An exception of its own goes to `sys.unraisablehook`. `near_limit` is the share of a
    /// key's limit, above 0 and 1 at most, at which `NearLimit` is told.
    ///
    /// >>> from limitpal import MockClock, TokenBucket
    /// >>> limiter = TokenBucket(capacity=5, refill_rate=1, clock=MockClock())
    /// >>> events = []
    /// >>> with limiter.observe(events.append):
    /// ...     _ = limiter.allow_many(["ann"] * 6)
    /// >>> for event in events:
    /// ...     print(event)
    /// NearLimit(key='ann', used=4, limit=5, share=0.8)
    /// Refused(key='ann', cost=1, retry_after=1.0)
    #[pyo3(signature = (observer, near_limit = None), text_signature = "($self, observer, near_limit=0.8)")]
    fn observe(
        &self,
        observer: &Bound<'_, PyAny>,
        near_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Subscription> {
        let part = self.part()?;
        let observers = &self.inner()?.observers;
        observers.add(part.teller(), part.evicted_live(), observer, near_limit)
    }

    /// Return what became of its calls.
    ///
    /// >>> from limitpal import TokenBucket
    /// >>> limiter = TokenBucket(capacity=2, refill_rate=1e-9)
    /// >>> limiter.allow_many(["ann", "ann", "ann"]), limiter.stats().refused
    /// ([True, True, False], 1)
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of_limiter(py, &self.part()?.stats()?)
    }

    /// Forget one key, or all of them; those who wait then go in their order.
    #[pyo3(signature = (key = None))]
    fn reset(&self, key: Option<Key<'_>>) -> PyResult<()> {
        match key {
            Some(key) => self.part()?.reset(key.as_str()),
            None => self.part()?.reset_all(),
        }
    }

    /// Write down what is remembered of each key that is not as new, for `restore` elsewhere.
    ///
    /// Those who wait are not in it; what waits for a bucket counts as taken. It holds no key, but
    /// what lets one aim at a bucket: keep it as you keep a secret.
    ///
    /// >>> from limitpal import MockClock, TokenBucket
    /// >>> limiter = TokenBucket(capacity=5, refill_rate=1, clock=MockClock())
    /// >>> limiter.allow("ann", cost=4)
    /// True
    /// >>> after_the_restart = TokenBucket(capacity=5, refill_rate=1, clock=MockClock())
    /// >>> after_the_restart.restore(limiter.snapshot())
    /// >>> after_the_restart.get_tokens("ann")
    /// 1.0
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        if matches!(self.inner()?.counting, Counting::Fair(_)) {
            let why = "a bucket that is shared has no snapshot; it begins full";
            return Err(PyTypeError::new_err(why));
        }
        Ok(PyBytes::new(py, &self.part()?.snapshot()?))
    }

    /// Remember what a snapshot does, before the first call; refused whole if anything is wrong.
    ///
    /// The time in between counts as none, so never more is admitted than without the restart:
    /// `bound` holds across it.
    /// A damaged snapshot, one of another version or of a limiter with other limits, and a limiter
    /// that was used already are an `InvalidConfigError`; all is then as it was.
    fn restore(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(bytes) = snapshot.extract::<Cow<'_, [u8]>>() else {
            let advice = "give the bytes that snapshot() returned";
            return Err(errors::invalid_config(snapshot.py(), "snapshot", snapshot, advice));
        };
        let restored = self.part()?.restore(&bytes)?;
        restored.map_err(|error| errors::described(snapshot.py(), &error))
    }

    /// How many buckets `max_buckets` has cost that were not full again.
    #[getter]
    fn evicted_live(&self) -> PyResult<u64> {
        Ok(self.part()?.evicted_live())
    }

    /// How many newcomers were refused because there was no room for them.
    #[getter]
    fn refused_new(&self) -> PyResult<u64> {
        Ok(self.part()?.refused_new())
    }

    fn __contains__(&self, key: Key<'_>) -> PyResult<bool> {
        self.part()?.contains(key.as_str())
    }

    fn __len__(&self) -> PyResult<usize> {
        self.part()?.remembered()
    }

    /// A limiter is there, also when it remembers nobody.
    fn __bool__(&self) -> bool {
        true
    }

    /// The clock it reads.
    #[getter]
    fn _clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.part()?.source().for_python(py)
    }

    /// Take, or return the place to wait for; for the async twin.
    #[pyo3(signature = (key = Key::DEFAULT, timeout = None, cost = Cost::ONE))]
    fn _reserve(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<Option<Place>> {
        let timeout = seconds::timeout("timeout", timeout)?;
        match self.enter(&key, cost, timeout, !movable(self.part()?.source()))? {
            Turn::Now(()) => Ok(None),
            Turn::Wait(place, wait) => {
                let patience = Patience { key: key.as_str(), cost, timeout };
                Place::new(self.shared()?, place, wait).within(patience).map(Some)
            }
            Turn::Refused(retry_after) => Err(self.refusal(py, &key, cost, retry_after)),
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        repr::of(slf.get(), slf.py(), &slf.get_type().name()?.to_string())
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let (Some(inner), Ok(part)) = (self.inner.get(), self.part()) else {
            return Ok(());
        };
        let Inner { key_by, quota, observers, .. } = inner;
        observers.traverse(&visit)?;
        visit.call(key_by.as_deref())?;
        visit.call(quota.as_deref())?;
        part.source().traverse(&visit)
    }
}

/// Says that live state stays in its process.
pub(crate) fn unpicklable(object: &Bound<'_, PyAny>) -> PyErr {
    let name = object.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "a {name} has live state and is not pickled or copied; make one in each process"
    ))
}
