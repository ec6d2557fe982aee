//! `KeyedCircuitBreaker`: a circuit breaker for each key.

use limitpal::{BreakerTable, EventKind, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::ask::{Key, count};
use crate::breaker::{CircuitBreaker, snapshot_of};
use crate::breaker_callbacks::{FAILURE, REFUSED, SUCCESS, TRANSITION, Told};
use crate::breaker_parts::{Arguments, BreakerParts};
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::observe::Subscription;
use crate::{errors, stats, unknown};

/// A circuit breaker for each key: a host, a tenant, a shard. One that fails stops nobody else.
///
/// It has the options of a `CircuitBreaker`, and `max_breakers`: how many are remembered at most,
/// None for as many as there are keys. A newcomer takes the place of one that is as new, the least
/// recently used first; where none is, of a closed one, then a half-open one, and only then an
/// open one. One that somebody holds, or that a call is in, goes last of all. Up to 1,024 breakers
/// the choice is exact, beyond them the best of 256 is taken.
///
/// `get(key)` is the key's own `CircuitBreaker`. An executor takes it as its `circuit_breaker`: the
/// key of a run says whose circuit it goes through.
///
/// >>> from limitpal import KeyedCircuitBreaker
/// >>> breakers = KeyedCircuitBreaker(failure_threshold=1)
/// >>> breakers.record_failure("eu.example.com")
/// >>> breakers.allow("eu.example.com"), breakers.allow("us.example.com")
/// (False, True)
/// >>> breakers.get("eu.example.com").state
/// 'open'
#[pyclass(frozen, module = "limitpal", weakref)]
pub(crate) struct KeyedCircuitBreaker {
    table: BreakerTable,
    parts: Py<BreakerParts>,
}

impl KeyedCircuitBreaker {
    pub(crate) fn table(&self) -> &BreakerTable {
        &self.table
    }

    pub(crate) fn shared_parts(&self) -> &Py<BreakerParts> {
        &self.parts
    }

    fn of(&self, py: Python<'_>, key: &Key<'_>) -> PyResult<CircuitBreaker> {
        let cell = self.table.cell(key.as_str(), || self.parts.get().clock.now())?;
        Ok(CircuitBreaker::sharing(cell, self.parts.clone_ref(py)))
    }

    fn listen<'py>(
        &self,
        kind: EventKind,
        callback: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let listen = |told: Told| self.table.listen(kind, move |key, event| told(key, event));
        self.parts.get().callbacks.add(&callback, true, listen)?;
        Ok(callback)
    }
}

#[pymethods]
impl KeyedCircuitBreaker {
    #[new]
    #[pyo3(signature = (failure_threshold=Given::LEFT_OUT, recovery_timeout=Given::LEFT_OUT, half_open_success_threshold=Given::LEFT_OUT, clock=None, *, max_breakers=Given::LEFT_OUT, trip_on=None, half_open_timeout=None, ramp=None, ramp_step=None, recovery_backoff=Given::LEFT_OUT, max_recovery_timeout=None, recovery_jitter=Given::LEFT_OUT, seed=None, failure_on=Given::LEFT_OUT, ignore=Given::LEFT_OUT, failure_on_result=None, count_successes=false, **unknown), text_signature = "(failure_threshold=5, recovery_timeout=5.0, half_open_success_threshold=1, clock=None, *, max_breakers=10000, trip_on=None, half_open_timeout=None, ramp=None, ramp_step=None, recovery_backoff=1.0, max_recovery_timeout=None, recovery_jitter=0.0, seed=None, failure_on=..., ignore=(), failure_on_result=None, count_successes=False)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        failure_threshold: Given<'_>,
        recovery_timeout: Given<'_>,
        half_open_success_threshold: Given<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        max_breakers: Given<'_>,
        trip_on: Option<&Bound<'_, PyAny>>,
        half_open_timeout: Option<&Bound<'_, PyAny>>,
        ramp: Option<&Bound<'_, PyAny>>,
        ramp_step: Option<&Bound<'_, PyAny>>,
        recovery_backoff: Given<'_>,
        max_recovery_timeout: Option<&Bound<'_, PyAny>>,
        recovery_jitter: Given<'_>,
        seed: Option<&Bound<'_, PyAny>>,
        failure_on: Given<'_>,
        ignore: Given<'_>,
        failure_on_result: Option<&Bound<'_, PyAny>>,
        count_successes: bool,
        unknown: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        unknown::refuse::<Self>(py, unknown)?;
        let arguments = Arguments {
            failure_threshold: failure_threshold.get(),
            recovery_timeout: recovery_timeout.get(),
            half_open_success_threshold: half_open_success_threshold.get(),
            clock,
            trip_on,
            half_open_timeout,
            ramp,
            ramp_step,
            recovery_backoff: recovery_backoff.get(),
            max_recovery_timeout,
            recovery_jitter: recovery_jitter.get(),
            seed,
            failure_on: failure_on.get(),
            ignore: ignore.get(),
            failure_on_result,
            count_successes,
        };
        let most = match max_breakers.get() {
            None => Some(USUAL_MOST),
            Some(given) if given.is_none() => None,
            Some(given) => {
                let advice = "give a whole number of at least 1, or None for no bound";
                Some(count::<u32>("max_breakers", given, advice)? as usize)
            }
        };
        let (settings, parts) = arguments.check(py)?;
        let table = BreakerTable::new(settings, most).expect("the bound is at least 1");
        Ok(Self { table, parts: Py::new(py, parts)? })
    }

    /// Return the key's own breaker, closed if there is none yet.
    fn get(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Py<CircuitBreaker>> {
        Py::new(py, self.of(py, &key)?)
    }

    /// Return whether a call of this key may go; report with `record_success` or `record_failure`.
    fn allow(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        self.of(py, &key)?.allow()
    }

    /// Hear that a call of this key succeeded.
    #[pyo3(signature = (key, *, took=None))]
    fn record_success(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        took: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.of(py, &key)?.record_success(took)
    }

    /// Hear that a call of this key failed.
    #[pyo3(signature = (key, *, took=None))]
    fn record_failure(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        took: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.of(py, &key)?.record_failure(took)
    }

    /// Return the state of a key's circuit; a key that is not remembered is "closed".
    fn state(&self, key: Key<'_>) -> PyResult<&'static str> {
        match self.table.known(key.as_str()) {
            Some(cell) => Ok(cell.state(|| self.parts.get().clock.now())?.as_str()),
            None => Ok("closed"),
        }
    }

    /// Close the circuit of a key and forget its counts.
    fn reset(&self, key: Key<'_>) {
        if let Some(cell) = self.table.known(key.as_str()) {
            cell.reset();
        }
    }

    /// Call `observer` with each event of each key from now on, until what this returns is closed.
    fn observe(&self, observer: &Bound<'_, PyAny>) -> PyResult<Subscription> {
        self.parts.get().observers.add_plain(self.table.teller(), observer, |_| true)
    }

    /// Write down what each circuit remembers that is not as new, with its key, for `restore` in
    /// another process.
    ///
    /// Instants are kept by how far from now they are, so the time in between counts as none; calls
    /// that are out end with the process.
    ///
    /// >>> from limitpal import KeyedCircuitBreaker
    /// >>> before, after = KeyedCircuitBreaker(1), KeyedCircuitBreaker(1)
    /// >>> before.record_failure("eu.example.com")
    /// >>> after.restore(before.snapshot()); after.state("eu.example.com")
    /// 'open'
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.table.snapshot(|| self.parts.get().clock.now())?))
    }

    /// Remember what a snapshot does, before the first call; refused whole if it is damaged, of
    /// breakers with other options, or of more keys than `max_breakers`.
    fn restore(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = snapshot_of(snapshot)?;
        let restored = self.table.restore(&bytes, || self.parts.get().clock.now())?;
        restored.map_err(|error| errors::described(snapshot.py(), &error))
    }

    /// Return what became of all calls, those of keys that are forgotten too.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of_breakers(py, &self.table.stats(|| self.parts.get().clock.now())?)
    }

    /// Return where each key that is remembered stands, and what became of its calls.
    ///
    /// >>> from limitpal import KeyedCircuitBreaker
    /// >>> breakers = KeyedCircuitBreaker(failure_threshold=1)
    /// >>> breakers.record_failure("eu.example.com")
    /// >>> {key: stats.state for key, stats in breakers.stats_by_key().items()}
    /// {'eu.example.com': 'open'}
    fn stats_by_key<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let by_key = PyDict::new(py);
        for (key, one) in self.table.stats_by_key(|| self.parts.get().clock.now())? {
            by_key.set_item(&*key, stats::of_breaker(py, &one)?)?;
        }
        Ok(by_key)
    }

    /// Call a function if the key's circuit lets it; raise `CircuitBreakerOpen` if not.
    #[pyo3(signature = (key, func, /, *args, **kwargs))]
    fn call(
        &self,
        key: Key<'_>,
        func: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        self.of(func.py(), &key)?.call(func, args, kwargs)
    }

    /// Call a coroutine function, or a plain one, and await what it returns.
    #[pyo3(signature = (key, func, /, *args, **kwargs))]
    fn call_async<'py>(
        &self,
        key: Key<'_>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let own = Bound::new(func.py(), self.of(func.py(), &key)?)?;
        CircuitBreaker::call_async(&own, func, args, kwargs)
    }

    /// Call back with the key, its state before and the one after, in the order they happened.
    fn on_transition<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(TRANSITION, callback)
    }

    /// Call back with the key for each success that counts.
    fn on_success<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(SUCCESS, callback)
    }

    /// Call back with the key for each failure that counts.
    fn on_failure<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(FAILURE, callback)
    }

    /// Call back with the key and `retry_after` for each call that is refused.
    fn on_refused<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(REFUSED, callback)
    }

    /// Remove a callback wherever it was added; return whether it was.
    fn remove_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
        let gone = self.parts.get().callbacks.remove(callback)?;
        Ok(gone.iter().filter(|id| self.table.remove_callback(**id)).count() > 0)
    }

    fn __len__(&self) -> usize {
        self.table.len()
    }

    fn __contains__(&self, key: Key<'_>) -> bool {
        self.table.known(key.as_str()).is_some()
    }

    fn __repr__(&self) -> String {
        let most = self.table.max_breakers().map_or("None".to_owned(), |most| most.to_string());
        let shown = &self.parts.get().shown;
        format!("KeyedCircuitBreaker({shown}, max_breakers={most}, len={})", self.table.len())
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parts)
    }
}

/// How many are remembered where nobody says.
const USUAL_MOST: usize = 10_000;
