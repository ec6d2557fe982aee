//! `CompositeLimiter`: all or nothing over several limiters.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use limitpal::parts::{Arrival, Composite, CompositeStep, Grant, Held, Wish};
use limitpal::{CompositePermit as CorePermit, TimeSource};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::ask::{Cost, Key, Keys};
use crate::clock::PyClock;
use crate::composite_core::{CompositeCore, Own};
use crate::composite_parts::{OwnParts, Parts};
use crate::composite_permit::{CompositePermit, Taken};
use crate::composite_run::{self, came, refusal};
use crate::concurrency_permit::ConcurrencyPermit;
use crate::decision::Decision;
use crate::limiter::{sit_out, unpicklable};
use crate::observe::Subscription;
use crate::place::Patience;
use crate::token_bucket::TokenBucket;
use crate::{concurrency, errors, rate, seconds};

/// Several limiters as one: a call goes if all of them let it.
///
/// - A refusal leaves every part as it was; its `retry_after` is the longest.
/// - `acquire` takes from all at the instant it goes; until then it holds a place only in the part
///   with the longest wait.
/// - A `ConcurrencyLimiter` among them is held while the work lasts: then `acquire` and
///   `try_acquire` return a permit for a `with` statement, and there is no bare `allow`, `check` or
///   `peek`. One who waits holds nothing meanwhile.
/// - Parts of your own (any object with `allow` and `acquire`) are asked last, in order. If one
///   refuses, ours go back; what others of your own took stays taken.
///
/// `clock` is the one the parts share, else the monotonic one. An empty list, and the same limiter
/// twice, are an `InvalidConfigError`.
///
/// >>> from limitpal import CompositeLimiter, MockClock, TokenBucket
/// >>> clock = MockClock()
/// >>> per_user = TokenBucket(capacity=2, refill_rate=1, clock=clock)
/// >>> overall = TokenBucket(capacity=3, refill_rate=1, clock=clock, per_key=False)
/// >>> limiter = CompositeLimiter([per_user, overall])
/// >>> [limiter.allow("ann") for _ in range(3)], limiter.allow("bob"), limiter.allow("bob")
/// ([True, True, False], True, False)
/// >>> per_user.get_tokens("bob")
/// 1.0
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
#[derive(Default)]
pub(crate) struct CompositeLimiter {
    /// Set by `__init__`, so that subclasses may have an `__init__` of their own.
    inner: OnceLock<Inner>,
}

struct Inner {
    limiters: Py<PyTuple>,
    core: CompositeCore,
    own: OwnParts,
}

impl CompositeLimiter {
    fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| {
            PyTypeError::new_err("the limiter is not made yet; call super().__init__() first")
        })
    }

    pub(crate) fn core(&self) -> PyResult<&CompositeCore> {
        Ok(&self.inner()?.core)
    }

    pub(crate) fn own(&self) -> PyResult<&OwnParts> {
        Ok(&self.inner()?.own)
    }

    /// Waits for the turn in every part.
    pub(crate) fn take(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        timeout: Option<Duration>,
        cost: Cost,
    ) -> PyResult<Taken> {
        let Inner { core, own, .. } = self.inner()?;
        let start = core.source().now()?;
        let left = || {
            let waited = core.source().now()?.saturating_duration_since(start);
            PyResult::Ok(timeout.map(|timeout| timeout.saturating_sub(waited)))
        };
        let taken = match core.ours() {
            Some(ours) => take_all(py, ours, key, cost, left)?,
            None => Taken { ours: None, grants: Vec::new(), permit: CorePermit::default() },
        };
        match own.acquire(py, key, cost, left) {
            Ok(()) => Ok(taken),
            Err(error) => {
                taken.give_back();
                Err(error)
            }
        }
    }
}

/// Waits for all parts of ours; `left` is what is left of the timeout.
pub(crate) fn take_all(
    py: Python<'_>,
    ours: &Arc<Composite<PyClock>>,
    key: &Key<'_>,
    cost: Cost,
    left: impl Fn() -> PyResult<Option<Duration>>,
) -> PyResult<Taken> {
    let watched = ours.watch(key.as_str())?;
    let taken = take_ours(py, ours, key, cost, left);
    composite_run::tell(py, ours, (key.as_str(), cost), watched, taken.as_ref().err())?;
    let (grants, permit) = taken?;
    Ok(Taken { ours: Some(Arc::clone(ours)), grants, permit })
}

fn take_ours(
    py: Python<'_>,
    ours: &Composite<PyClock>,
    key: &Key<'_>,
    cost: Cost,
    left: impl Fn() -> PyResult<Option<Duration>>,
) -> PyResult<(Vec<Grant>, CorePermit)> {
    let (mut held, arrival): (Option<Held>, _) = (None, Arrival::next());
    loop {
        let timeout = left().inspect_err(|_| {
            // A permit goes back by itself.
            if let Some(Held::Grant(part, grant)) = held.take() {
                ours.parts()[part].give_back(grant);
            }
        })?;
        let wish = Wish { cost: cost.0, timeout, arrival };
        held = Some(match ours.step(key.as_str(), wish, held.take(), |_| true)? {
            CompositeStep::Go(grants, permit) => return Ok((grants, permit)),
            CompositeStep::Wait(part, place, wait) => {
                let patience = Patience { key: key.as_str(), cost, timeout };
                match sit_out(py, &ours.parts()[part], (place, wait), patience)? {
                    Ok(grant) => Held::Grant(part, grant),
                    // Turned away, it asks all anew, with what is left of its time.
                    Err(_) => continue,
                }
            }
            CompositeStep::Knock(rank, queued) => {
                let door = &ours.doors()[rank];
                let permit = ConcurrencyPermit::waiting(door.gates().clone(), queued, timeout);
                let permit = Bound::new(py, permit)?;
                let waited = concurrency::sit_out(&permit, ours.source());
                // The traceback keeps it: so it leaves the line here.
                waited.inspect_err(|_| permit.get().release())?;
                Held::Permit(rank, came(py, door, permit.get(), key.as_str(), cost)?)
            }
            CompositeStep::Refused(after, by) => {
                return Err(refusal(py, ours, (key.as_str(), cost), (after, by)));
            }
            CompositeStep::Shut(rank, after) => {
                let door = &ours.doors()[rank];
                return Err(concurrency::shut(py, door, Some(key.as_str()), cost, after));
            }
        });
    }
}

#[pymethods]
impl CompositeLimiter {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limiters, clock=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    #[pyo3(signature = (limiters, clock = None))]
    fn __init__(
        &self,
        limiters: &Bound<'_, PyAny>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let Parts { limiters: given, keyed, pools, own } = Parts::sort(limiters)?;
        let clocks = own.clocks(limiters.py());
        let known = Own { exists: !own.is_empty(), clocks: &clocks };
        let core = CompositeCore::join(limiters, (keyed, pools), known, clock, 2)?;
        let inner = Inner { limiters: given.unbind(), core, own };
        let again = |_| PyTypeError::new_err("__init__() was called before; make another limiter");
        self.inner.set(inner).map_err(again)
    }

    /// Join limits in words, as `Rate.parse` reads them: for each a token bucket whose burst is the
    /// count, all on one clock.
    ///
    /// >>> from limitpal import CompositeLimiter
    /// >>> CompositeLimiter.of("10/second", "500/hour").limiters[1].capacity
    /// 500
    #[classmethod]
    #[pyo3(signature = (*rates, clock = None))]
    fn of<'py>(
        cls: &Bound<'py, PyType>,
        rates: &Bound<'py, PyTuple>,
        clock: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        const ADVICE: &str = "give at least one limit, such as \"10/second\"";
        let py = cls.py();
        if rates.is_empty() {
            return Err(errors::invalid_config(py, "rates", rates, ADVICE));
        }
        let (bucket, options) = (py.get_type::<TokenBucket>(), PyDict::new(py));
        options.set_item(intern!(py, "clock"), clock)?;
        let part = |words| rate::bucket(&bucket, &words, ("burst", None), Some(&options));
        let parts = rates.iter().map(part).collect::<PyResult<Vec<_>>>()?;
        cls.call1((parts,))
    }

    /// The limiters it is made of, as they were given.
    #[getter]
    fn limiters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        Ok(self.inner()?.limiters.bind(py).clone())
    }

    /// Take from all if possible now, else from none; never wait.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn allow(&self, py: Python<'_>, key: Key<'_>, cost: Cost) -> PyResult<bool> {
        let Inner { core, own, .. } = self.inner()?;
        core.refuse_bare("allow")?;
        if own.is_empty()
            && let Some(ours) = core.ours()
        {
            return ours.allow(key.as_str(), cost.0);
        }
        let Some(taken) = core.take(key.clone(), cost)? else { return Ok(false) };
        let allowed = own.allow(py, &key, cost);
        if !matches!(allowed, Ok(true)) {
            taken.leave();
        }
        allowed
    }

    /// Ask for many keys, one after another; the answers are in their order.
    #[pyo3(signature = (keys, cost = Cost::ONE), text_signature = "($self, keys, cost=1)")]
    fn allow_many(&self, py: Python<'_>, keys: Keys<'_, '_>, cost: Cost) -> PyResult<Vec<bool>> {
        self.core()?.refuse_bare("allow_many")?;
        // All are read before any is asked.
        let keys = keys.list()?;
        let allow = |key: Borrowed<'_, '_, PyAny>| self.allow(py, Key::extract(key)?, cost);
        keys.iter().map(|key| allow(key.as_borrowed())).collect()
    }

    /// Take from all if possible now, else from none and return None; never wait.
    ///
    /// What is returned is held while the work lasts. Without a `ConcurrencyLimiter` it holds
    /// nothing.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn try_acquire(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        cost: Cost,
    ) -> PyResult<Option<CompositePermit>> {
        let Inner { core, own, .. } = self.inner()?;
        let Some(taken) = core.take(key.clone(), cost)? else { return Ok(None) };
        let allowed = own.allow(py, &key, cost);
        if !matches!(allowed, Ok(true)) {
            taken.leave();
        }
        Ok(allowed?.then(|| taken.hold()))
    }

    /// Wait for the turn; raise `RateLimitExceeded` at once if that would exceed `timeout`.
    ///
    /// With a `ConcurrencyLimiter` it returns a permit to hold while the work lasts, else None.
    /// Nobody knows when such a permit is free, so it is waited for as long as `timeout` has it.
    #[pyo3(signature = (key = Key::DEFAULT, timeout = None, cost = Cost::ONE), text_signature = "($self, key='default', timeout=None, cost=1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<Option<CompositePermit>> {
        let taken = self.take(py, &key, seconds::timeout("timeout", timeout)?, cost)?;
        let holds = self.core()?.holds();
        Ok(holds.then(|| CompositePermit::new(taken.into_permit())))
    }

    /// As `allow`, with the numbers of the part that has the longest wait, or the least left.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn check(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.core()?.check(key, cost)
    }

    /// Say what `check` would say, without taking and without creating the key.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn peek(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.core()?.peek(key, cost)
    }

    /// Return the most permits that one key can be admitted in any window of so many seconds.
    ///
    /// It is the least of the parts' bounds; parts of your own have none, which is a TypeError.
    ///
    /// >>> from limitpal import CompositeLimiter
    /// >>> limiter = CompositeLimiter.of("10/second", "500/hour")
    /// >>> limiter.bound(1), limiter.bound(3600)
    /// (20, 1000)
    fn bound(&self, window: &Bound<'_, PyAny>) -> PyResult<u64> {
        self.core()?.bound(window)
    }

    /// Call `observer` with each event from now on; return what ends it.
    ///
    /// As that of a `TokenBucket`; near a limit is the part with the least left. What limiters of
    /// your own refuse is not told of.
    #[pyo3(signature = (observer, near_limit = None), text_signature = "($self, observer, near_limit=0.8)")]
    fn observe(
        &self,
        observer: &Bound<'_, PyAny>,
        near_limit: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Subscription> {
        self.core()?.observe(observer, near_limit)
    }

    /// Return what became of its calls; what limiters of your own refuse is not counted.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.core()?.stats(py)
    }

    /// Close a key for so many seconds in every part that has a `penalise`; return whether all of
    /// ours did.
    fn penalise(&self, py: Python<'_>, key: Key<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Inner { core, own, .. } = self.inner()?;
        let closed = core.penalise(key.clone(), seconds)?;
        let key = key.for_python(py)?;
        own.call_those_with("penalise", &(key, seconds).into_pyobject(py)?)?;
        Ok(closed)
    }

    /// Give back permits that a key took last and did not use, to every part that has a `give_back`.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn give_back(&self, py: Python<'_>, key: Key<'_>, cost: Cost) -> PyResult<()> {
        let Inner { core, own, .. } = self.inner()?;
        core.give_back(key.clone(), cost)?;
        let key = key.for_python(py)?;
        own.call_those_with("give_back", &(key, cost.0).into_pyobject(py)?)
    }

    /// Forget one key, or all of them, in every part that has a `reset`.
    #[pyo3(signature = (key = None))]
    fn reset(&self, py: Python<'_>, key: Option<Key<'_>>) -> PyResult<()> {
        let Inner { core, own, .. } = self.inner()?;
        core.reset(key.clone())?;
        own.reset(py, key.as_ref())
    }

    /// The clock it reads.
    #[getter]
    fn _clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.core()?.clock(py)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let limiters: Vec<String> = slf
            .get()
            .inner()?
            .limiters
            .bind(slf.py())
            .iter()
            .map(|limiter| Ok(limiter.repr()?.to_string()))
            .collect::<PyResult<_>>()?;
        Ok(format!("{}([{}])", slf.get_type().name()?, limiters.join(", ")))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(Inner { limiters, core, own }) = self.inner.get() else { return Ok(()) };
        visit.call(limiters)?;
        own.traverse(&visit)?;
        core.__traverse__(visit)
    }
}
