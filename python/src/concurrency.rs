//! `ConcurrencyLimiter`: at most so many at a time, for each key or in all.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use limitpal::RetryAfter;
use limitpal::parts::{Door, Entry, Fingerprint, Gates, Keys};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyTuple};

use crate::ask::{Cost, Key, count};
use crate::clock::PyClock;
use crate::concurrency_permit::ConcurrencyPermit;
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::{errors, options, seconds, stats};

/// Lets at most `limit` work at a time, for each key. Whoever has a permit works, and gives it back.
///
/// - `limit`: how many permits of a key may be out, a whole number from 1 to 2^32-1
/// - `per_key`: False for one limit for everybody: a bulkhead
/// - `key_by`: maps the caller's key to the one that is limited
/// - `max_waiting`: refuse at once whoever would wait for a key that so many wait for already; any
///   number may wait
/// - `clock`: what timeouts go by; the monotonic one
///
/// Those who wait for a key go in the order in which they came, each woken once. One who asks for
/// many (`cost`) is not overtaken by those behind who ask for few. A key is remembered while a
/// permit of it is out, and no longer.
///
/// >>> from limitpal import ConcurrencyLimiter
/// >>> limiter = ConcurrencyLimiter(1)
/// >>> with limiter.acquire("db"):
/// ...     limiter.try_acquire("db") is None
/// True
/// >>> limiter.in_flight("db")
/// 0
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
#[derive(Default)]
pub(crate) struct ConcurrencyLimiter {
    /// Set by `__init__`, so that subclasses may have an `__init__` of their own.
    inner: OnceLock<Inner>,
}

struct Inner {
    /// Shared with the composites that it is part of.
    door: Arc<Door<PyErr>>,
    clock: PyClock,
    /// The one reference to it is shared with the core, so that the garbage collector sees it.
    key_by: Option<Arc<Py<PyAny>>>,
}

impl ConcurrencyLimiter {
    fn inner(&self) -> PyResult<&Inner> {
        self.inner.get().ok_or_else(|| {
            PyTypeError::new_err("the limiter is not made yet; call super().__init__() first")
        })
    }

    /// Returns what a composite asks of it.
    pub(crate) fn door(&self) -> PyResult<&Arc<Door<PyErr>>> {
        Ok(&self.inner()?.door)
    }

    /// Returns the clock that timeouts go by.
    pub(crate) fn source(&self) -> PyResult<&PyClock> {
        Ok(&self.inner()?.clock)
    }

    /// Takes a permit, or a place in line for whoever waits.
    fn enter(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        cost: Cost,
        timeout: Option<Duration>,
    ) -> PyResult<ConcurrencyPermit> {
        let inner = self.inner()?;
        let gate = inner.gate(key)?;
        let is_ready_to_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
        match inner.gates().enter(gate, cost.0, is_ready_to_wait) {
            Entry::Inside(cost) => Ok(inner.held(gate, cost)),
            Entry::Waits(queued) => {
                Ok(ConcurrencyPermit::waiting(inner.gates().clone(), queued, timeout))
            }
            Entry::Refused(after) => Err(inner.refusal(py, key, cost, after)),
        }
    }
}

impl Inner {
    fn gate(&self, key: &Key<'_>) -> PyResult<Fingerprint> {
        self.door.fingerprint(key.as_str())
    }

    fn gates(&self) -> &Arc<Gates> {
        self.door.gates()
    }

    fn refusal(&self, py: Python<'_>, key: &Key<'_>, cost: Cost, after: RetryAfter) -> PyErr {
        let key = (!self.door.is_bulkhead()).then(|| key.as_str());
        shut(py, &self.door, key, cost, after)
    }

    /// Ends the wait of one who has no permit yet: it is there, or there is none in time.
    fn settle(
        &self,
        py: Python<'_>,
        permit: &ConcurrencyPermit,
        key: &Key<'_>,
        cost: Cost,
    ) -> PyResult<()> {
        permit.settle().map_err(|after| self.refusal(py, key, cost, after))
    }

    fn held(&self, gate: Fingerprint, cost: u32) -> ConcurrencyPermit {
        ConcurrencyPermit::held(self.gates().clone(), gate, cost)
    }
}

/// Blocks the thread until there is a permit, or its time is over by this clock.
pub(crate) fn sit_out(permit: &Bound<'_, ConcurrencyPermit>, clock: &PyClock) -> PyResult<()> {
    // A thread that waits here is ended by another thread, or by Ctrl-C: that is Python's.
    let py = permit.py();
    let wait = py.import("limitpal._concurrency")?.getattr(intern!(py, "wait_blocking"))?;
    wait.call1((permit, clock.for_python(py)?)).map(drop)
}

/// Says that a door has no permit in time.
pub(crate) fn shut(
    py: Python<'_>,
    door: &Door<PyErr>,
    key: Option<&str>,
    cost: Cost,
    after: RetryAfter,
) -> PyErr {
    if door.is_bulkhead() {
        return errors::bulkhead_full(py, key, door.gates().limit());
    }
    let refusal = errors::no_permit(py, key.unwrap_or_default(), cost.0, after);
    errors::shut(py, refusal, Some(&door), cost.0)
}

#[pymethods]
impl ConcurrencyLimiter {
    /// Takes whatever a subclass takes; the arguments are read by `__init__`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs), text_signature = "(limit, *, per_key=True, key_by=None, max_waiting=None, clock=None)")]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }

    #[pyo3(signature = (limit, *, per_key=Given::LEFT_OUT, key_by=None, max_waiting=None, clock=None))]
    fn __init__(
        &self,
        limit: &Bound<'_, PyAny>,
        per_key: Given<'_>,
        key_by: Option<&Bound<'_, PyAny>>,
        max_waiting: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let per_key = options::per_key(per_key.get())?;
        let key_by = options::key_by(key_by)?;
        let max_waiting = max_waiting.map(most_waiting).transpose()?;
        let gates = Gates::new(limit_of(limit)?, max_waiting, !per_key)
            .map_err(|error| errors::from_core(limit.py(), &error, limit))?;
        let keys = Keys::new(per_key, key_by.clone().map(options::call_from_core));
        let (door, clock) = (Arc::new(Door::new(gates, keys)), PyClock::resolve(clock)?);
        let again = |_| PyTypeError::new_err("__init__() was called before; make another limiter");
        self.inner.set(Inner { door, clock, key_by }).map_err(again)
    }

    /// Take a permit if there is one and nobody waits for it, else return None; never wait.
    #[pyo3(signature = (key = Key::DEFAULT, cost = Cost::ONE), text_signature = "($self, key='default', cost=1)")]
    fn try_acquire(&self, key: Key<'_>, cost: Cost) -> PyResult<Option<ConcurrencyPermit>> {
        let inner = self.inner()?;
        let gate = inner.gate(&key)?;
        match inner.gates().enter(gate, cost.0, false) {
            Entry::Inside(cost) => Ok(Some(inner.held(gate, cost))),
            Entry::Waits(_) | Entry::Refused(_) => Ok(None),
        }
    }

    /// Wait for a permit; raise `RateLimitExceeded` if there is none within `timeout` seconds.
    ///
    /// Give it back with `release()`, or use it in a `with` statement. A timeout of 0 never waits,
    /// a negative one is 0. A `MockClock` is moved to the end of a timeout, as its `sleep()` would;
    /// without a timeout only another thread ends the wait, whatever the clock.
    #[pyo3(signature = (key = Key::DEFAULT, timeout = None, cost = Cost::ONE), text_signature = "($self, key='default', timeout=None, cost=1)")]
    fn acquire(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<Py<ConcurrencyPermit>> {
        let timeout = seconds::timeout("timeout", timeout)?;
        let permit = Py::new(py, self.enter(py, &key, cost, timeout)?)?;
        if permit.get().is_waiting() {
            let waited = sit_out(permit.bind(py), &self.inner()?.clock);
            let settle = || self.inner()?.settle(py, permit.get(), &key, cost);
            if let Err(error) = waited.and_then(|()| settle()) {
                permit.get().release();
                return Err(error);
            }
        }
        Ok(permit)
    }

    /// Refuse: a permit that nobody holds would limit nothing.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn allow(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        Err(has_no("allow"))
    }

    /// Refuse: a permit that nobody holds would limit nothing.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn check(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        Err(has_no("check"))
    }

    /// Refuse: what is free now may be gone in a moment; `in_flight()` and `waiting()` tell it.
    #[pyo3(signature = (*_args, **_kwargs))]
    fn peek(
        &self,
        _args: &Bound<'_, PyTuple>,
        _kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        Err(has_no("peek"))
    }

    /// Return how many permits of a key are out: the sum of their costs.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn in_flight(&self, key: Key<'_>) -> PyResult<u32> {
        let inner = self.inner()?;
        Ok(inner.gates().inside(inner.gate(&key)?))
    }

    /// Return how many wait for a key.
    #[pyo3(signature = (key = Key::DEFAULT), text_signature = "($self, key='default')")]
    fn waiting(&self, key: Key<'_>) -> PyResult<usize> {
        let inner = self.inner()?;
        Ok(inner.gates().waiting(inner.gate(&key)?))
    }

    /// Return what became of its calls; it does not know for how long they waited.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of_limiter(py, &self.inner()?.gates().stats())
    }

    /// How many permits of a key may be out.
    #[getter]
    fn limit(&self) -> PyResult<u32> {
        Ok(self.inner()?.gates().limit())
    }

    /// Change the limit of all keys while it is in use.
    ///
    /// With a higher one more of those who wait go at once. With a lower one no permit is taken
    /// away, and there are no new ones until enough have come back; who waits for more than the
    /// new limit is refused.
    fn set_limit(&self, limit: &Bound<'_, PyAny>) -> PyResult<()> {
        let gates = self.inner()?.gates();
        gates
            .set_limit(limit_of(limit)?)
            .map_err(|error| errors::from_core(limit.py(), &error, limit))
    }

    fn __contains__(&self, key: Key<'_>) -> PyResult<bool> {
        let inner = self.inner()?;
        Ok(inner.gates().contains(inner.gate(&key)?))
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(self.inner()?.gates().len())
    }

    /// A limiter is there, also when no permit is out.
    fn __bool__(&self) -> bool {
        true
    }

    /// The clock that timeouts go by.
    #[getter]
    fn _clock<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.inner()?.clock.for_python(py)
    }

    /// Take a permit, or the place of one who waits for it; for the async twin.
    fn _enter(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        timeout: Option<&Bound<'_, PyAny>>,
        cost: Cost,
    ) -> PyResult<ConcurrencyPermit> {
        self.enter(py, &key, cost, seconds::timeout("timeout", timeout)?)
    }

    /// End the wait for a permit: it is there, or there is none in time.
    fn _settle(
        &self,
        py: Python<'_>,
        permit: &Bound<'_, ConcurrencyPermit>,
        key: Key<'_>,
        cost: Cost,
    ) -> PyResult<()> {
        self.inner()?.settle(py, permit.get(), &key, cost)
    }

    /// Make that of a bulkhead.
    #[staticmethod]
    fn _bulkhead(
        limit: &Bound<'_, PyAny>,
        max_waiting: Option<&Bound<'_, PyAny>>,
        clock: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let max_waiting = max_waiting.map(most_waiting).transpose()?;
        let door = Door::of_bulkhead(limit_of(limit)?, max_waiting)
            .map_err(|error| errors::from_core(limit.py(), &error, limit))?;
        let (door, clock) = (Arc::new(door), PyClock::resolve(clock)?);
        Ok(Self { inner: OnceLock::from(Inner { door, clock, key_by: None }) })
    }

    #[getter]
    fn _max_waiting(&self) -> PyResult<Option<u32>> {
        Ok(self.inner()?.gates().max_waiting())
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let Inner { door, clock, key_by } = slf.get().inner()?;
        let (gates, keys) = (door.gates(), door.keys());
        let mut text = format!("{}(limit={}", slf.get_type().name()?, gates.limit());
        if !keys.per_key() && !door.is_bulkhead() {
            text += ", per_key=False";
        }
        if let Some(key_by) = key_by {
            text += &format!(", key_by={}", key_by.bind(py).repr()?);
        }
        if let Some(max_waiting) = gates.max_waiting() {
            text += &format!(", max_waiting={max_waiting}");
        }
        if !matches!(clock, PyClock::Monotonic) {
            text += &format!(", clock={}", clock.for_python(py)?.repr()?);
        }
        Ok(text + ")")
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let Some(Inner { clock, key_by, .. }) = self.inner.get() else { return Ok(()) };
        visit.call(key_by.as_deref())?;
        clock.traverse(&visit)
    }
}

fn limit_of(limit: &Bound<'_, PyAny>) -> PyResult<u32> {
    count("limit", limit, "give a whole number from 1 to 4294967295")
}

/// Returns how many may wait: none at all, too.
fn most_waiting(given: &Bound<'_, PyAny>) -> PyResult<u32> {
    if given.is_exact_instance_of::<PyInt>() && given.eq(0)? {
        return Ok(0);
    }
    count("max_waiting", given, "give a whole number from 0 to 4294967295, or None for any number")
}

fn has_no(call: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "a ConcurrencyLimiter has no {call}(): a permit is held while the work lasts; \
         call try_acquire(), which returns one or None"
    ))
}
