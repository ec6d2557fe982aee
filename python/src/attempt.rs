//! `Attempt`, and which one the present code is part of: the mark that `current_attempt()` reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use limitpal::{Instant, TimeSource};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;

use crate::clock::PyClock;
use crate::seconds;

/// How many attempts of the process are marked. While none is, no run needs to look for one.
static MARKED: AtomicUsize = AtomicUsize::new(0);

/// Returns whether any attempt is marked.
#[inline]
pub(crate) fn any_marked() -> bool {
    MARKED.load(Ordering::Relaxed) != 0
}

/// One attempt of a run.
///
/// - `number`: counted from 1
/// - `elapsed`: seconds from the run's beginning to that of this attempt
/// - `last_error`: the error of the attempt before, or None
/// - `deadline`: the time of the executor's clock at which its time is over, or None
///
/// >>> from limitpal import MockClock, ResilientExecutor, RetryPolicy, current_attempt
/// >>> policy = RetryPolicy(base_delay=1.0)
/// >>> executor = ResilientExecutor(retry_policy=policy, timeout=5.0, clock=MockClock())
/// >>> def call():
/// ...     attempt = current_attempt()
/// ...     if attempt.number == 1:
/// ...         raise OSError("reset")
/// ...     return attempt.number, attempt.elapsed, attempt.last_error, attempt.remaining()
/// >>> executor.run("api", call)
/// (2, 1.0, OSError('reset'), 4.0)
#[pyclass(frozen, subclass, module = "limitpal", name = "Attempt")]
pub(crate) struct Attempt {
    number: u32,
    elapsed: Duration,
    ends: Option<Instant>,
    clock: PyClock,
    last_error: Option<Py<PyAny>>,
    /// Whether it is over: what was begun in it may go on, and is no part of it then.
    is_over: Arc<AtomicBool>,
}

impl Attempt {
    pub(crate) fn begin(
        number: u32,
        elapsed: Duration,
        ends: Option<Instant>,
        clock: PyClock,
        last_error: Option<Py<PyAny>>,
    ) -> Self {
        Self { number, elapsed, ends, clock, last_error, is_over: Arc::default() }
    }

    /// Returns when its time is over, by a clock, if it has not ended.
    fn ends_on(&self, clock: &PyClock) -> PyResult<Option<Instant>> {
        match self.ends {
            None => Ok(None),
            Some(_) if self.is_over() => Ok(None),
            Some(ends) if self.clock.same_clock(clock) => Ok(Some(ends)),
            Some(ends) => {
                let left = ends.saturating_duration_since(self.clock.now()?);
                Ok(Some(clock.now()? + left))
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }
}

#[pymethods]
impl Attempt {
    /// A copy, for those who add something to it; a first attempt of nothing without an argument.
    #[new]
    #[pyo3(signature = (attempt=None, /))]
    fn new(py: Python<'_>, attempt: Option<&Bound<'_, Self>>) -> Self {
        let Some(attempt) = attempt else {
            return Self::begin(1, Duration::ZERO, None, PyClock::Monotonic, None);
        };
        let Self { number, elapsed, ends, clock, last_error, is_over } = attempt.get();
        Self {
            number: *number,
            elapsed: *elapsed,
            ends: *ends,
            clock: clock.clone_ref(py),
            last_error: last_error.as_ref().map(|error| error.clone_ref(py)),
            is_over: Arc::clone(is_over),
        }
    }

    /// Which attempt of its run it is, counted from 1.
    #[getter]
    fn number(&self) -> u32 {
        self.number
    }

    /// The seconds from the run's beginning to that of this attempt.
    #[getter]
    fn elapsed(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// The error of the attempt before, or None.
    #[getter]
    fn last_error(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.last_error.as_ref().map(|error| error.clone_ref(py))
    }

    /// The time of the executor's clock at which the attempt's time is over, or None.
    #[getter]
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let Some(ends) = self.ends else { return Ok(None) };
        let seconds = |instant: Instant| instant.as_nanos() as f64 / 1e9;
        if !matches!(self.clock, PyClock::Monotonic) {
            return Ok(Some(seconds(ends)));
        }
        // The zero of ours is not that of Python's.
        let left = seconds(ends) - seconds(self.clock.now()?);
        let now: f64 = self.clock.for_python(py)?.call_method0(intern!(py, "now"))?.extract()?;
        Ok(Some(now + left))
    }

    /// Return how many seconds are left of its time, 0.0 if it is over; None if it has no end.
    fn remaining(&self) -> PyResult<Option<f64>> {
        let Some(ends) = self.ends else { return Ok(None) };
        Ok(Some(ends.saturating_duration_since(self.clock.now()?).as_secs_f64()))
    }

    /// Whether it has ended.
    #[getter]
    fn _is_over(&self) -> bool {
        self.is_over()
    }

    fn __repr__(&self) -> String {
        format!("<Attempt {}>", self.number)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.clock.traverse(&visit)?;
        visit.call(&self.last_error)
    }
}

/// How the context variable of `_current.py` is read and set.
pub(crate) struct Marker {
    get: Py<PyAny>,
    set: Py<PyAny>,
    reset: Py<PyAny>,
}

impl Marker {
    pub(crate) fn new(py: Python<'_>) -> PyResult<Self> {
        let variable = py.import("limitpal._current")?.getattr("marked")?;
        let method = |name| variable.getattr(name).map(Bound::unbind);
        Ok(Self { get: method("get")?, set: method("set")?, reset: method("reset")? })
    }

    /// Returns when the time of the attempt is over that the present code is part of.
    pub(crate) fn deadline(&self, py: Python<'_>, clock: &PyClock) -> PyResult<Option<Instant>> {
        let present = self.get.bind(py).call0()?;
        match present.cast::<Attempt>() {
            Ok(attempt) => attempt.get().ends_on(clock),
            Err(_) => Ok(None),
        }
    }

    /// Marks what follows as part of an attempt.
    pub(crate) fn mark(&self, py: Python<'_>, attempt: Attempt) -> PyResult<Mark> {
        let attempt = Py::new(py, attempt)?;
        let token = self.set.bind(py).call1((&attempt,))?.unbind();
        MARKED.fetch_add(1, Ordering::Relaxed);
        Ok(Mark { attempt, token })
    }

    /// Ends an attempt. Closed in another context than it began in, it leaves its mark there,
    /// which nobody heeds.
    pub(crate) fn unmark(&self, py: Python<'_>, mark: Mark) {
        let _ended = self.reset.bind(py).call1((&mark.token,));
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        [&self.get, &self.set, &self.reset].into_iter().try_for_each(|method| visit.call(method))
    }
}

/// An attempt that is marked while it lasts.
pub(crate) struct Mark {
    pub(crate) attempt: Py<Attempt>,
    token: Py<PyAny>,
}

impl Mark {
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.attempt)?;
        visit.call(&self.token)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        self.attempt.get().is_over.store(true, Ordering::Release);
        MARKED.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns a time left as Python's clocks sleep it.
pub(crate) fn left(ends: Option<Instant>, clock: &PyClock) -> PyResult<Option<f64>> {
    let Some(ends) = ends else { return Ok(None) };
    Ok(Some(seconds::float(ends.saturating_duration_since(clock.now()?))))
}
