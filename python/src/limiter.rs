//! The keyed limiters: token bucket and leaky bucket, and what they have in common.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use limitpal::TimeSource;
use limitpal::parts::{Fingerprint, Grant, Keyed, Part, Place as CorePlace, Turn};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::ask::{Cost, Key, Keys, push};
use crate::clock::PyClock;
use crate::decision::Decision;
use crate::errors;
use crate::options::Options;
use crate::place::{Place, movable};
use crate::seconds;

/// What a window may be.
pub(crate) const WINDOW: &str = "give a time in seconds, 0 or more";

/// What token bucket and leaky bucket have in common.
#[pyclass(frozen, subclass, module = "limitpal._limitpal", weakref)]
#[derive(Default)]
pub(crate) struct KeyedLimiter {
    /// Set by `__init__`, so that subclasses may have an `__init__` of their own.
    inner: OnceLock<Inner>,
}

struct Inner {
    keyed: Arc<Keyed<PyClock>>,
    /// The one reference to it is shared with the core, so that the garbage collector sees it.
    key_by: Option<Arc<Py<PyAny>>>,
}

impl KeyedLimiter {
    /// Does what `__init__` does, once.
    pub(crate) fn init(&self, options: &Options<'_, '_>) -> PyResult<()> {
        let key_by = options.key_by()?;
        let keyed = Arc::new(options.keyed(key_by.as_ref())?);
        let again = |_| PyTypeError::new_err("__init__() was called before; make another limiter");
        self.inner.set(Inner { keyed, key_by }).map_err(again)
    }

    #[inline]
    fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| {
            PyTypeError::new_err("the limiter is not made yet; call super().__init__() first")
        })
    }

    #[inline]
    pub(crate) fn keyed(&self) -> PyResult<&Arc<Keyed<PyClock>>> {
        Ok(&self.inner()?.keyed)
    }

    /// Returns the bucket that a key belongs to.
    #[inline(always)] // else the key goes through memory: a sixth of what `allow` costs
    pub(crate) fn bucket_of(&self, key: &Key<'_>) -> PyResult<Fingerprint> {
        self.keyed()?.fingerprint(key.as_str())
    }

    /// Returns whether a decision calls the user's own code: a clock, or `key_by`.
    #[inline]
    pub(crate) fn calls_python(&self) -> PyResult<bool> {
        let Inner { keyed, key_by } = self.inner()?;
        Ok(key_by.is_some() || matches!(keyed.source(), PyClock::Python(_)))
    }

    /// As `reserve`, for whoever gives nothing back of what is there at once.
    #[inline]
    fn enter(
        &self,
        key: Fingerprint,
        cost: Cost,
        timeout: Option<Duration>,
        fixed: bool,
    ) -> PyResult<Turn<()>> {
        let (keyed, request) = (self.keyed()?, cost.request(timeout, fixed));
        let source = keyed.source();
        keyed.store().enter(key, request, || source.now())
    }

    /// Takes one permit if it is there; never waits.
    #[inline]
    pub(crate) fn takes_one(&self, key: &Key<'_>) -> PyResult<bool> {
        let turn = self.enter(self.bucket_of(key)?, Cost::ONE, Some(Duration::ZERO), true)?;
        Ok(matches!(turn, Turn::Now(())))
    }

    /// Takes, now or later.
    #[inline]
    pub(crate) fn reserve(
        &self,
        key: Fingerprint,
        cost: Cost,
        timeout: Option<Duration>,
        fixed: bool,
    ) -> PyResult<Turn> {
        let (keyed, request) = (self.keyed()?, cost.request(timeout, fixed));
        let source = keyed.source();
        keyed.store().reserve(key, request, || source.now())
    }

    /// Reads something off a key's bucket.
    pub(crate) fn view<T>(
        &self,
        key: &Key<'_>,
        view: impl Fn(&Keyed<PyClock>, Fingerprint) -> PyResult<T>,
    ) -> PyResult<T> {
        view(self.keyed()?, self.bucket_of(key)?)
    }

    fn show(&self, py: Python<'_>, name: &str) -> PyResult<String> {
        let Inner { keyed, key_by } = self.inner()?;
        let (bucket, options) = (keyed.store().bucket(), keyed.store().options());
        let rate_name = bucket.rate_name();
        let rate = bucket.rate().as_per_second().into_pyobject(py)?.repr()?;
        let mut text = format!("{name}(capacity={}, {rate_name}={rate}", bucket.capacity());
        if !matches!(keyed.source(), PyClock::Monotonic) {
            text += &format!(", clock={}", keyed.source().for_python(py)?.repr()?);
        }
        if let Some(ttl) = options.ttl {
            text += &format!(", ttl={}", seconds::float(ttl).into_pyobject(py)?.repr()?);
        }
        if let Some(max_buckets) = options.max_buckets {
            text += &format!(", max_buckets={max_buckets}");
        }
        if !keyed.per_key() {
            text += ", per_key=False";
        }
        if let Some(key_by) = key_by {
            text += &format!(", key_by={}", key_by.bind(py).repr()?);
        }
        Ok(text + ")")
    }
}

/// Sleeps through a wait, as blocking Python does; an error leaves the place to a newcomer.
pub(crate) fn sit_out(
    py: Python<'_>,
    part: &dyn Part<PyClock>,
    place: CorePlace,
    wait: Duration,
) -> PyResult<Grant> {
    match part.source().sleep(py, seconds::float(wait)) {
        Ok(()) => Ok(part.arrived(place)),
        Err(error) => {
            part.leave(place);
            Err(error)
        }
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
        self.keyed()?.allow(self.bucket_of(&key)?, cost.0)
    }

    /// Ask for many keys at one reading of the clock; the answers are in their order.
    #[pyo3(signature = (keys, cost = Cost::ONE), text_signature = "($self, keys, cost=1)")]
    fn allow_many<'py>(
        &self,
        py: Python<'py>,
        keys: Keys<'_, 'py>,
        cost: Cost,
    ) -> PyResult<Bound<'py, PyList>> {
        let keyed = self.keyed()?;
        let mut asks = Vec::new();
        keys.each(|key| push(&mut asks, (keyed.fingerprint(key)?, cost.0)))?;
        PyList::new(py, keyed.allow_many(&asks)?)
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
        let bucket = self.bucket_of(&key)?;
        let timeout = seconds::timeout("timeout", timeout)?;
        match self.enter(bucket, cost, timeout, true)? {
            Turn::Now(()) => Ok(()),
            Turn::Wait(place, wait) => sit_out(py, &**self.keyed()?, place, wait).map(drop),
            Turn::Refused(retry_after) => {
                Err(errors::rate_limit_exceeded(py, key.as_str(), cost.0, retry_after))
            }
        }
    }

    /// As `allow`, with the numbers.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn check(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.view(&key, |keyed, bucket| keyed.check(bucket, cost.0).map(Decision::from))
    }

    /// Say what `check` would say, without taking and without creating the key.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn peek(&self, key: Key<'_>, cost: Cost) -> PyResult<Decision> {
        self.view(&key, |keyed, bucket| keyed.peek(bucket, cost.0).map(Decision::from))
    }

    /// Return the most permits that one key can be admitted in any window of so many seconds.
    ///
    /// Both ends count: it is `capacity + rate * window`, rounded down, and what the worst caller
    /// gets, nearly. A reset, and an eviction that `evicted_live` counts, begin a bucket anew, with
    /// a burst that is not counted here. It saturates at 2^64-1.
    ///
    /// >>> from limitpal import TokenBucket
    /// >>> [TokenBucket.per("100/minute", burst=burst).bound(60) for burst in (None, 10)]
    /// [200, 110]
    fn bound(&self, window: &Bound<'_, PyAny>) -> PyResult<u64> {
        Ok(self.keyed()?.store().bucket().bound(seconds::window("window", window, WINDOW)?))
    }

    /// Forget one key, or all of them; those who wait then go in their order.
    #[pyo3(signature = (key = None))]
    fn reset(&self, key: Option<Key<'_>>) -> PyResult<()> {
        match key {
            Some(key) => self.view(&key, Keyed::reset),
            None => self.keyed()?.reset_all(),
        }
    }

    /// How many buckets `max_buckets` has cost that were not full again.
    #[getter]
    fn evicted_live(&self) -> PyResult<u64> {
        Ok(self.keyed()?.store().evicted_live())
    }

    fn __contains__(&self, key: Key<'_>) -> PyResult<bool> {
        self.view(&key, Keyed::contains)
    }

    fn __len__(&self) -> PyResult<usize> {
        self.keyed()?.remembered()
    }

    /// A limiter is there, also when it remembers nobody.
    fn __bool__(&self) -> bool {
        true
    }

    /// The clock it reads.
    #[getter]
    fn _clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.keyed()?.source().for_python(py)
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
        let (keyed, bucket) = (self.keyed()?, self.bucket_of(&key)?);
        let timeout = seconds::timeout("timeout", timeout)?;
        match self.enter(bucket, cost, timeout, !movable(keyed.source()))? {
            Turn::Now(()) => Ok(None),
            Turn::Wait(place, wait) => Ok(Some(Place::new(keyed.clone(), place, wait))),
            Turn::Refused(retry_after) => {
                Err(errors::rate_limit_exceeded(py, key.as_str(), cost.0, retry_after))
            }
        }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        slf.get().show(slf.py(), &slf.get_type().name()?.to_string())
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(Inner { keyed, key_by }) = self.inner.get() else { return Ok(()) };
        visit.call(key_by.as_deref())?;
        keyed.source().traverse(&visit)
    }
}

/// Says that live state stays in its process.
pub(crate) fn unpicklable(object: &Bound<'_, PyAny>) -> PyErr {
    let name = object.get_type().name().map_or_else(|_| "object".into(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "a {name} has live state and is not pickled or copied; make one in each process"
    ))
}
