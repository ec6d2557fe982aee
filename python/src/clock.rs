//! The `clock=` of a Python object: resolved once, read in Rust where it is one of ours.

mod mock_time;

use limitpal::{Clock, Instant, MockClock, MonotonicClock, TimeSource};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

pub(crate) use self::mock_time::MockTime;
use crate::errors::invalid_config;

/// Where our own clocks are written; asked for at construction, so that no static keeps them.
const MODULE: &str = "limitpal._clock";
const ADVICE: &str = "give an object with now(), sleep() and sleep_async(), such as MockClock()";

/// A clock that was given to a limiter, a breaker or an executor.
#[derive(Debug)]
pub(crate) enum PyClock {
    /// `MonotonicClock` itself, or no clock at all.
    Monotonic,
    /// A `MockClock` whose `now` is ours: its steady time is read without a call into Python.
    Mock { time: MockClock, object: Py<PyAny> },
    /// Any other object with `now` and `sleep`.
    Python(Py<PyAny>),
}

impl PyClock {
    /// Resolves a `clock=` argument.
    ///
    /// # Errors
    ///
    /// `InvalidConfigError` for what has no `now` or no `sleep`, and for a class.
    pub(crate) fn resolve(clock: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(clock) = clock else { return Ok(Self::Monotonic) };
        let py = clock.py();
        let class = clock.get_type();
        if class.is(&py.import(MODULE)?.getattr(intern!(py, "MonotonicClock"))?) {
            return Ok(Self::Monotonic);
        }
        if let Ok(mock) = clock.cast::<MockTime>() {
            let ours = py.get_type::<MockTime>().getattr(intern!(py, "now"))?;
            let mock_clock = py.import(MODULE)?.getattr(intern!(py, "MockClock"))?;
            let sleep_async = intern!(py, "sleep_async");
            // A subclass that tells the time or sleeps in its own way is asked to do so.
            let sleeps_as_ours = match class.getattr_opt(sleep_async)? {
                Some(own) => own.is(&mock_clock.getattr(sleep_async)?),
                None => false,
            };
            if sleeps_as_ours && class.getattr(intern!(py, "now"))?.is(&ours) {
                let object = clock.clone().unbind();
                return Ok(Self::Mock { time: mock.get().time().clone(), object });
            }
        }
        let answers =
            |name| clock.getattr_opt(name).map(|method| method.is_some_and(|m| m.is_callable()));
        if clock.is_instance_of::<PyType>()
            || !answers(intern!(py, "now"))?
            || !answers(intern!(py, "sleep"))?
        {
            return Err(invalid_config(py, "clock", clock, ADVICE));
        }
        Ok(Self::Python(clock.clone().unbind()))
    }

    /// Sleeps as a blocking call from Python does: without the GIL, and Ctrl-C ends it.
    pub(crate) fn sleep(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        match self {
            Self::Monotonic => {
                py.import(intern!(py, "time"))?.call_method1(intern!(py, "sleep"), (seconds,))?
            }
            Self::Mock { object, .. } | Self::Python(object) => {
                object.bind(py).call_method1(intern!(py, "sleep"), (seconds,))?
            }
        };
        Ok(())
    }

    /// Returns the object that tells this time in Python.
    pub(crate) fn for_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Self::Monotonic => py.import(MODULE)?.getattr(intern!(py, "MONOTONIC")),
            Self::Mock { object, .. } | Self::Python(object) => Ok(object.bind(py).clone()),
        }
    }

    /// Returns what runs read when Python reads this time of the clock.
    pub(crate) fn at(&self, py: Python<'_>, time: f64) -> PyResult<Instant> {
        let ahead_of = |now: Instant| instant(time).as_nanos().saturating_sub(now.as_nanos());
        let (now, ahead) = match self {
            Self::Python(_) => return Ok(instant(time)),
            Self::Mock { time: mock, .. } => (mock.steady(), ahead_of(mock.now())),
            // The zero of ours is not that of Python's.
            Self::Monotonic => {
                let read = self.for_python(py)?.call_method0(intern!(py, "now"))?;
                (MonotonicClock.now(), ahead_of(instant(read.extract()?)))
            }
        };
        Ok(Instant::from_nanos(now.as_nanos().saturating_add(ahead)))
    }

    /// Returns whether both are one clock, so that their readings can be compared.
    pub(crate) fn same_clock(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Monotonic, Self::Monotonic) => true,
            (Self::Mock { object: one, .. }, Self::Mock { object: another, .. })
            | (Self::Python(one), Self::Python(another)) => one.is(another),
            _ => false,
        }
    }

    /// Returns whether this is a `MockClock`, one with a `now` of the user's own included.
    pub(crate) fn is_mock(&self) -> bool {
        match self {
            Self::Monotonic => false,
            Self::Mock { .. } => true,
            Self::Python(object) => {
                Python::attach(|py| object.bind(py).is_instance_of::<MockTime>())
            }
        }
    }

    /// Returns another handle to the same clock.
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Monotonic => Self::Monotonic,
            Self::Mock { time, object } => {
                Self::Mock { time: time.clone(), object: object.clone_ref(py) }
            }
            Self::Python(object) => Self::Python(object.clone_ref(py)),
        }
    }

    /// Shows the garbage collector the Python object it holds.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Monotonic => Ok(()),
            Self::Mock { object, .. } | Self::Python(object) => visit.call(object),
        }
    }
}

impl TimeSource for PyClock {
    type Error = PyErr;

    fn is_steady(&self) -> bool {
        !matches!(self, Self::Python(_))
    }

    #[inline]
    fn now(&self) -> PyResult<Instant> {
        match self {
            Self::Monotonic => Ok(MonotonicClock.now()),
            Self::Mock { time, .. } => Ok(time.steady()),
            Self::Python(object) => Python::attach(|py| read(object.bind(py))),
        }
    }
}

/// Reads a clock of the user's own. Its errors come out as they are.
fn read(clock: &Bound<'_, PyAny>) -> PyResult<Instant> {
    let py = clock.py();
    let value = clock.call_method0(intern!(py, "now"))?;
    let wrong = || {
        let name = clock.get_type().name().map_or_else(|_| "clock".into(), |name| name.to_string());
        let value = value.repr().map_or_else(|_| "no number".into(), |value| value.to_string());
        format!("{name}.now() is {value}; give seconds as a finite number")
    };
    match value.extract::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(instant(seconds)),
        Ok(_) => Err(PyValueError::new_err(wrong())),
        Err(error) if error.is_instance_of::<PyTypeError>(py) => Err(PyTypeError::new_err(wrong())),
        Err(error) => Err(error),
    }
}

/// Returns a reading in seconds to the nearest nanosecond, saturating at 292 years.
fn instant(seconds: f64) -> Instant {
    Instant::from_nanos((seconds * 1e9).round() as i64)
}
