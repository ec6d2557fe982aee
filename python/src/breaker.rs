//! `CircuitBreaker`: stops calling what keeps failing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use limitpal::{BreakerCell, BreakerSettings, Outcome, Permit, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::ask::count;
use crate::clock::PyClock;
use crate::coroutine::{CoroutineType, callable};
use crate::exception_types::{Failure, is_one_of, tuple_of};
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::{errors, seconds};

/// Stops calling what keeps failing, and finds out by itself when it is back.
///
/// - closed: calls go through; `failure_threshold` failures in a row open it.
/// - open: calls are refused until `recovery_timeout` seconds have passed.
/// - half_open: at most `half_open_success_threshold` calls are out at a time. That many successes
///   close it, one failure opens it again. A permit lapses after `recovery_timeout`, so a call that
///   hangs locks nobody out; its late result does not count.
///
/// Any `Exception` is a failure, except those in `ignore` and refusals of our own.
///
/// >>> from limitpal import CircuitBreaker, MockClock
/// >>> clock = MockClock()
/// >>> breaker = CircuitBreaker(failure_threshold=2, recovery_timeout=5.0, clock=clock)
/// >>> breaker.record_failure(); breaker.record_failure(); breaker.state
/// 'open'
/// >>> clock.advance(5.0); breaker.state
/// 'half_open'
/// >>> breaker.call(lambda: "it is back"), breaker.state
/// ('it is back', 'closed')
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct CircuitBreaker {
    cell: Arc<BreakerCell>,
    clock: PyClock,
    ignore: Py<PyTuple>,
    coroutine: CoroutineType,
    /// The coroutine function behind `call_async`, asked for once.
    awaited: Py<PyAny>,
}

impl CircuitBreaker {
    pub(crate) fn cell(&self) -> &Arc<BreakerCell> {
        &self.cell
    }

    pub(crate) fn clock(&self) -> &PyClock {
        &self.clock
    }

    /// Returns whether an error is neither a success nor a failure.
    pub(crate) fn ignores(&self, py: Python<'_>, error: &PyErr) -> bool {
        is_one_of(py, error, &self.ignore)
    }

    fn admit(&self, py: Python<'_>) -> PyResult<Permit> {
        let admitted = self.cell.admit(|| self.clock.now())?;
        admitted.map_err(|refusal| errors::circuit_breaker_open(py, refusal))
    }

    fn record(&self, outcome: Outcome) -> PyResult<()> {
        self.cell.record_bare(outcome, || self.clock.now())
    }

    /// Hears how a call ended with an error.
    fn settle(&self, py: Python<'_>, permit: Permit, error: &PyErr) -> PyResult<()> {
        let counts = Failure::of(py, error)? == Failure::Failed && !self.ignores(py, error);
        if counts {
            return self.cell.record(permit, Outcome::Failure, || self.clock.now());
        }
        self.cell.give_back(permit);
        Ok(())
    }
}

#[pymethods]
impl CircuitBreaker {
    #[new]
    #[pyo3(signature = (failure_threshold=Given::LEFT_OUT, recovery_timeout=Given::LEFT_OUT, half_open_success_threshold=Given::LEFT_OUT, clock=None, *, ignore=Given::LEFT_OUT), text_signature = "(failure_threshold=5, recovery_timeout=5.0, half_open_success_threshold=1, clock=None, *, ignore=())")]
    fn new(
        py: Python<'_>,
        failure_threshold: Given<'_>,
        recovery_timeout: Given<'_>,
        half_open_success_threshold: Given<'_>,
        clock: Option<&Bound<'_, PyAny>>,
        ignore: Given<'_>,
    ) -> PyResult<Self> {
        let threshold = |name, value: Option<&Bound<'_, PyAny>>, default| match value {
            Some(value) => count(name, value, "give a whole number from 1 to 4294967295"),
            None => PyResult::Ok(default),
        };
        let settings = BreakerSettings::new(
            threshold("failure_threshold", failure_threshold.get(), 5)?,
            match recovery_timeout.get() {
                Some(value) => seconds::positive("recovery_timeout", value)?,
                None => Duration::from_secs(5),
            },
            threshold("half_open_success_threshold", half_open_success_threshold.get(), 1)?,
        );
        let settings = settings.map_err(|error| {
            let value = error.value().into_pyobject(py).map(Bound::into_any);
            value.map_or_else(Into::into, |value| errors::from_core(py, &error, &value))
        })?;
        let ignore = match ignore.get() {
            Some(types) => tuple_of("ignore", types)?,
            None => PyTuple::empty(py),
        };
        let cell = Arc::new(BreakerCell::new(settings));
        let (clock, coroutine) = (PyClock::resolve(clock)?, CoroutineType::new(py)?);
        let awaited = py.import("limitpal._lent")?.getattr("call_async")?.unbind();
        Ok(Self { cell, clock, ignore: ignore.unbind(), coroutine, awaited })
    }

    /// "closed", "open" or "half_open": a function of time, whoever asks first.
    #[getter]
    fn state(&self) -> PyResult<&'static str> {
        Ok(self.cell.state(|| self.clock.now())?.as_str())
    }

    /// Return whether a call may go; report with `record_success` or `record_failure`.
    fn allow(&self) -> PyResult<bool> {
        self.cell.allow(|| self.clock.now())
    }

    /// Hear that a call succeeded; without an `allow` before it counts towards the present state.
    fn record_success(&self) -> PyResult<()> {
        self.record(Outcome::Success)
    }

    /// Hear that a call failed; without an `allow` before it counts towards the present state.
    fn record_failure(&self) -> PyResult<()> {
        self.record(Outcome::Failure)
    }

    /// Close the circuit and forget all counts.
    fn reset(&self) {
        self.cell.reset();
    }

    /// Call a function if the circuit lets it; raise `CircuitBreakerOpen` if not.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    fn call(
        &self,
        func: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let py = func.py();
        callable("func", func)?;
        let lent = Lent::by(self, py)?;
        match func.call(args, kwargs) {
            Ok(value) => {
                let value = self.coroutine.refuse(value, func, TWIN)?;
                let permit = lent.into_permit();
                self.cell.record(permit, Outcome::Success, || self.clock.now())?;
                Ok(value.unbind())
            }
            Err(error) => {
                self.settle(py, lent.into_permit(), &error)?;
                Err(error)
            }
        }
    }

    /// Call a coroutine function, or a plain one, and await what it returns.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    fn call_async<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        callable("func", func)?;
        // A real coroutine, with tracebacks and cancellation as everyone expects, is Python's.
        slf.get().awaited.bind(slf.py()).call1((slf, func, args, kwargs))
    }

    /// Lend a permit to a call that is awaited.
    fn _lend(slf: &Bound<'_, Self>) -> PyResult<LentPermit> {
        let permit = slf.get().admit(slf.py())?;
        Ok(LentPermit { breaker: slf.clone().unbind(), permit: Mutex::new(Some(permit)) })
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let settings = self.cell.settings();
        let timeout = seconds::float(settings.recovery_timeout()).into_pyobject(py)?.repr()?;
        Ok(format!(
            "CircuitBreaker(failure_threshold={}, recovery_timeout={timeout}, \
             half_open_success_threshold={}, state={:?})",
            settings.failure_threshold(),
            settings.half_open_success_threshold(),
            self.state().unwrap_or("unknown"),
        ))
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.ignore)?;
        visit.call(&self.awaited)?;
        self.coroutine.traverse(&visit)?;
        self.clock.traverse(&visit)
    }
}

const TWIN: &str = "call_async()";

/// A permit that goes back when it is dropped.
struct Lent<'b> {
    breaker: &'b CircuitBreaker,
    permit: Option<Permit>,
}

impl<'b> Lent<'b> {
    fn by(breaker: &'b CircuitBreaker, py: Python<'_>) -> PyResult<Self> {
        Ok(Self { breaker, permit: Some(breaker.admit(py)?) })
    }

    fn into_permit(mut self) -> Permit {
        self.permit.take().expect("a permit is taken out once")
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.breaker.cell.give_back(permit);
        }
    }
}

/// A permit in the hands of a coroutine; it goes back when it is dropped.
#[pyclass(frozen, module = "limitpal._limitpal", name = "_LentPermit")]
pub(crate) struct LentPermit {
    breaker: Py<CircuitBreaker>,
    permit: Mutex<Option<Permit>>,
}

impl LentPermit {
    fn take(&self) -> Option<Permit> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl LentPermit {
    /// The call succeeded.
    fn succeeded(&self) -> PyResult<()> {
        let breaker = self.breaker.get();
        let Some(permit) = self.take() else { return Ok(()) };
        breaker.cell.record(permit, Outcome::Success, || breaker.clock.now())
    }

    /// The call ended with this error.
    fn failed(&self, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let Some(permit) = self.take() else { return Ok(()) };
        self.breaker.get().settle(error.py(), permit, &PyErr::from_value(error.clone()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.breaker)
    }
}

impl Drop for LentPermit {
    fn drop(&mut self) {
        if let Some(permit) = self.take() {
            self.breaker.get().cell.give_back(permit);
        }
    }
}

/// Refuses what is no circuit breaker.
pub(crate) fn breaker_of(breaker: &Bound<'_, PyAny>) -> PyResult<Py<CircuitBreaker>> {
    let py = breaker.py();
    let refuse = |advice: &str| errors::invalid_config(py, "circuit_breaker", breaker, advice);
    let Ok(ours) = breaker.cast::<CircuitBreaker>() else {
        return Err(refuse("give a CircuitBreaker, or None"));
    };
    let (kind, base) = (breaker.get_type(), py.get_type::<CircuitBreaker>());
    for method in ["allow", "record_success", "record_failure", "state"] {
        if !kind.getattr(method)?.is(&base.getattr(method)?) {
            let name = kind.name()?;
            return Err(refuse(&format!(
                "{name} overrides {method}, which an executor would not call; leave it as it is"
            )));
        }
    }
    Ok(ours.clone().unbind())
}
