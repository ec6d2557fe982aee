//! `CircuitBreaker`: stops calling what keeps failing.

mod inside;

use std::borrow::Cow;
use std::sync::Arc;

use limitpal::{BreakerCell, BreakerMode, Outcome};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::breaker_callbacks::{FAILURE, REFUSED, SUCCESS, TRANSITION};
use crate::breaker_parts::{Arguments, BreakerParts};
use crate::breaker_permit::{Lent, LentPermit};
use crate::coroutine::callable;
use crate::given::Given;
use crate::limiter::unpicklable;
use crate::observe::Subscription;
use crate::{errors, stats, unknown};

/// Stops calling what keeps failing, and finds out by itself when it is back.
///
/// - closed: calls go through; `failure_threshold` failures in a row open it, or any rule of
///   `trip_on`: `ConsecutiveFailures`, `FailureRate`, `SlowCallRate`, one or several.
/// - open: calls are refused until `recovery_timeout` seconds have passed. With `recovery_backoff`
///   the n-th trip in a row lasts `recovery_timeout * recovery_backoff ** (n - 1)`, at most
///   `max_recovery_timeout` (60 s, or `recovery_timeout` if that is longer), strayed from by
///   `recovery_jitter` (0.1 is up to a tenth), which a `seed` repeats.
/// - half_open: at most `half_open_success_threshold` calls are out at a time. That many successes
///   close it, one failure opens it again. A permit lapses after `recovery_timeout`, so a call that
///   hangs locks nobody out; its late result does not count. `half_open_timeout` seconds after its
///   first call it opens again if it has not closed.
/// - `ramp=(0.05, 0.1, 0.25, 0.5)`: after those successes it stays half_open and admits these
///   shares of the calls, each for `ramp_step` seconds; meanwhile it trips as when it is closed.
///
/// Any `Exception` is a failure, except those in `ignore`, which count as neither, and refusals of
/// our own. `failure_on`, types or a predicate of the exception, says which others are: the rest
/// count as successes, since the other side answered. `failure_on_result`, a predicate of the
/// result, says which values are failures. `count_successes=True` counts each success for `stats()`,
/// also while the circuit is healthy and nothing hangs on it.
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
///
/// It is a decorator too, and a context manager, of functions and coroutine functions:
///
/// >>> @breaker
/// ... def fetch():
/// ...     return "fine"
/// >>> fetch()
/// 'fine'
/// >>> with breaker:
/// ...     print("calling")
/// calling
#[pyclass(frozen, subclass, module = "limitpal", weakref)]
pub(crate) struct CircuitBreaker {
    cell: Arc<BreakerCell>,
    parts: Py<BreakerParts>,
}

#[pymethods]
impl CircuitBreaker {
    #[new]
    #[pyo3(signature = (failure_threshold=Given::LEFT_OUT, recovery_timeout=Given::LEFT_OUT, half_open_success_threshold=Given::LEFT_OUT, clock=None, *, trip_on=None, half_open_timeout=None, ramp=None, ramp_step=None, recovery_backoff=Given::LEFT_OUT, max_recovery_timeout=None, recovery_jitter=Given::LEFT_OUT, seed=None, failure_on=Given::LEFT_OUT, ignore=Given::LEFT_OUT, failure_on_result=None, count_successes=false, **unknown), text_signature = "(failure_threshold=5, recovery_timeout=5.0, half_open_success_threshold=1, clock=None, *, trip_on=None, half_open_timeout=None, ramp=None, ramp_step=None, recovery_backoff=1.0, max_recovery_timeout=None, recovery_jitter=0.0, seed=None, failure_on=..., ignore=(), failure_on_result=None, count_successes=False)")]
    #[expect(clippy::too_many_arguments, reason = "the signature is Python's")]
    fn new(
        py: Python<'_>,
        failure_threshold: Given<'_>,
        recovery_timeout: Given<'_>,
        half_open_success_threshold: Given<'_>,
        clock: Option<&Bound<'_, PyAny>>,
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
        let (settings, parts) = arguments.check(py)?;
        let cell = Arc::new(BreakerCell::new(settings));
        Ok(Self { cell, parts: Py::new(py, parts)? })
    }

    /// "closed", "open" or "half_open": a function of time, whoever asks first.
    #[getter]
    fn state(&self) -> PyResult<&'static str> {
        Ok(self.cell.state(|| self.now())?.as_str())
    }

    /// "enforce", "shadow", "disabled" or "forced_open": how it is run.
    #[getter]
    fn mode(&self) -> &'static str {
        self.cell.mode().as_str()
    }

    /// Refuse when it is open, as at first; from `shadow` it goes on in the state it is in, after
    /// the other modes it begins closed.
    fn enforce(&self) -> PyResult<()> {
        self.run_as(BreakerMode::Enforce)
    }

    /// Count and change its state, but refuse nobody: who would be refused is let through,
    /// `on_refused` is told, and the outcome does not count.
    fn shadow(&self) -> PyResult<()> {
        self.run_as(BreakerMode::Shadow)
    }

    /// Let all calls through and count nothing.
    fn disable(&self) -> PyResult<()> {
        self.run_as(BreakerMode::Disabled)
    }

    /// Refuse all calls until another mode is set; `retry_after` is None then.
    fn force_open(&self) -> PyResult<()> {
        self.run_as(BreakerMode::ForcedOpen)
    }

    /// Return whether a call may go; report with `record_success` or `record_failure`.
    pub(crate) fn allow(&self) -> PyResult<bool> {
        self.cell.allow(|| self.now())
    }

    /// Hear that a call succeeded; without an `allow` before it counts towards the present state.
    ///
    /// `took` is how many seconds it took, for a `SlowCallRate`.
    #[pyo3(signature = (*, took=None))]
    pub(crate) fn record_success(&self, took: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.record(Outcome::Success, took)
    }

    /// Hear that a call failed; without an `allow` before it counts towards the present state.
    ///
    /// `took` is how many seconds it took, for a `SlowCallRate`.
    #[pyo3(signature = (*, took=None))]
    pub(crate) fn record_failure(&self, took: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.record(Outcome::Failure, took)
    }

    /// Close the circuit and forget all counts. The mode stays.
    fn reset(&self) {
        self.cell.reset();
    }

    /// Call `observer` with each event from now on, until what this returns is closed:
    /// `BreakerMoved`, `BreakerRefused` and `BreakerFailed`.
    ///
    /// >>> from limitpal import CircuitBreaker
    /// >>> breaker, events = CircuitBreaker(failure_threshold=1), []
    /// >>> with breaker.observe(events.append):
    /// ...     breaker.record_failure()
    /// >>> events[0]
    /// BreakerMoved(key='', before='closed', after='open', reason='consecutive_failures')
    fn observe(&self, observer: &Bound<'_, PyAny>) -> PyResult<Subscription> {
        let own = Arc::downgrade(&self.cell);
        let is_about = move |event: &_| own.upgrade().is_some_and(|cell| cell.is_about(event));
        self.parts().observers.add_plain(self.cell.teller(), observer, is_about)
    }

    /// Return where it stands and what became of its calls; a reset forgets none of it.
    ///
    /// >>> from limitpal import CircuitBreaker
    /// >>> breaker = CircuitBreaker(failure_threshold=1)
    /// >>> breaker.record_failure(); breaker.allow()
    /// False
    /// >>> breaker.stats().trips, breaker.stats().refused, breaker.stats().state
    /// (1, 1, 'open')
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        stats::of_breaker(py, &self.cell.stats(|| self.now())?)
    }

    /// Write down what it remembers, for `restore` in another process.
    ///
    /// Times are kept by how far off they are; calls that are out end with the process.
    /// >>> from limitpal import CircuitBreaker
    /// >>> before, after = CircuitBreaker(1), CircuitBreaker(1)
    /// >>> before.record_failure()
    /// >>> after.restore(before.snapshot()); after.state
    /// 'open'
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.cell.snapshot(|| self.now())?))
    }

    /// Go on from a snapshot; refused whole if it is damaged or of a breaker with other options.
    fn restore(&self, snapshot: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = snapshot_of(snapshot)?;
        let restored = self.cell.restore(&bytes, || self.now())?;
        restored.map_err(|error| errors::described(snapshot.py(), &error))
    }

    /// Call back with the state before and the one after, in the order they happened.
    ///
    /// Callbacks run outside every lock; what one raises is reported (`sys.unraisablehook`) and
    /// changes nothing. Returns the callback, so that this is a decorator.
    ///
    /// >>> from limitpal import CircuitBreaker
    /// >>> breaker = CircuitBreaker(failure_threshold=1)
    /// >>> told = breaker.on_transition(lambda old, new: print(old, "->", new))
    /// >>> breaker.record_failure()
    /// closed -> open
    /// >>> breaker.remove_callback(told)
    /// True
    fn on_transition<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(TRANSITION, callback)
    }

    /// Call back without arguments for each success that counts.
    fn on_success<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(SUCCESS, callback)
    }

    /// Call back without arguments for each failure that counts.
    fn on_failure<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(FAILURE, callback)
    }

    /// Call back with `retry_after` for each call that is refused; in shadow, that would be.
    fn on_refused<'py>(&self, callback: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.listen(REFUSED, callback)
    }

    /// Remove a callback wherever it was added; return whether it was.
    fn remove_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<bool> {
        let gone = self.parts().callbacks.remove(callback)?;
        let removed = gone.iter().filter(|id| self.cell.remove_callback(**id));
        Ok(removed.count() > 0)
    }

    /// Call a function if the circuit lets it; raise `CircuitBreakerOpen` if not.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    pub(crate) fn call(
        &self,
        func: &Bound<'_, PyAny>,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let (py, parts) = (func.py(), self.parts());
        callable("func", func)?;
        let lent = Lent::by(self, py)?;
        match func.call(args, kwargs) {
            Ok(value) => {
                let value = parts.coroutine.refuse(value, func, TWIN)?;
                lent.settle(Some(parts.judge.value(&value)?))?;
                Ok(value.unbind())
            }
            Err(error) => {
                lent.settle(parts.judge.error(py, &error)?)?;
                Err(error)
            }
        }
    }

    /// Call a coroutine function, or a plain one, and await what it returns.
    #[pyo3(signature = (func, /, *args, **kwargs))]
    pub(crate) fn call_async<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        callable("func", func)?;
        // A real coroutine, with tracebacks and cancellation as everyone expects, is Python's.
        slf.get().parts().awaited.bind(slf.py()).call1((slf, func, args, kwargs))
    }

    /// Guard a function, or a coroutine function: each of its calls goes through the breaker.
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        func: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        callable("func", func)?;
        slf.py().import("limitpal._lent")?.getattr("guard")?.call1((slf, func))
    }

    fn __enter__<'py>(slf: Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.py().import("limitpal._lent")?.getattr("enter")?.call1((&slf,))?;
        Ok(slf)
    }

    #[pyo3(signature = (kind, error, traceback, /))]
    fn __exit__(
        slf: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        error: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (kind, traceback);
        slf.py().import("limitpal._lent")?.getattr("leave")?.call1((slf, error)).map(drop)
    }

    fn __aenter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("limitpal._lent")?.getattr("enter_async")?.call1((slf,))
    }

    #[pyo3(signature = (kind, error, traceback, /))]
    fn __aexit__<'py>(
        slf: &Bound<'py, Self>,
        kind: &Bound<'py, PyAny>,
        error: &Bound<'py, PyAny>,
        traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = (kind, traceback);
        slf.py().import("limitpal._lent")?.getattr("leave_async")?.call1((slf, error))
    }

    /// Hear how a call ended that has no permit; None: well.
    fn _hear(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let outcome = match error {
            Some(error) => self.parts().judge.error(py, &PyErr::from_value(error.clone()))?,
            None => Some(Outcome::Success),
        };
        outcome.map_or(Ok(()), |outcome| self.record(outcome, None))
    }

    /// Lend a permit to a call that is awaited.
    fn _lend(slf: &Bound<'_, Self>) -> PyResult<LentPermit> {
        LentPermit::by(slf)
    }

    fn __repr__(&self) -> String {
        let mode = match self.cell.mode() {
            BreakerMode::Enforce => String::new(),
            mode => format!(", mode=\"{mode}\""),
        };
        let state = self.state().unwrap_or("unknown");
        format!("CircuitBreaker({}, state={state:?}{mode})", self.parts().shown)
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        Err(unpicklable(slf.as_any()))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.parts)
    }
}

const TWIN: &str = "call_async()";

/// Reads the bytes of a snapshot.
pub(crate) fn snapshot_of<'a>(snapshot: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, [u8]>> {
    snapshot.extract().map_err(|_| {
        let advice = "give the bytes that snapshot() returned";
        errors::invalid_config(snapshot.py(), "snapshot", snapshot, advice)
    })
}
