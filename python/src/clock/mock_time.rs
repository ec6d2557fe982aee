//! The time that a Python `MockClock` moves, and the names of who sleeps on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Wake;
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::instant;
use crate::errors::invalid_config;
use crate::seconds::duration;

/// The furthest start: 126 years, well over any `time.time()` and far from the end of time.
const FURTHEST_START: f64 = 4e9;

/// The time that `MockClock` moves.
///
/// A sleeper is a number here. Whoever moves time hands the numbers that are due to `_wake`,
/// which `MockClock` has: no Python object is kept where the garbage collector cannot see it.
#[pyclass(frozen, subclass, module = "limitpal._limitpal")]
#[derive(Debug)]
pub(crate) struct MockTime {
    time: MockClock,
    due: Arc<Due>,
}

/// Who is due and was not told yet, in the order they are to wake.
#[derive(Debug, Default)]
struct Due(Mutex<VecDeque<u64>>);

impl Due {
    fn push(&self, key: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(key);
    }

    fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Notes a sleeper as due.
struct Note {
    key: u64,
    due: Arc<Due>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.due.push(self.key);
    }
}

#[pymethods]
impl MockTime {
    /// Takes whatever a subclass takes: the start is set by `_start`.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { time: MockClock::new(), due: Arc::default() }
    }

    /// Return the time in seconds.
    fn now(&self) -> f64 {
        self.time.now().as_nanos() as f64 / 1e9
    }

    /// Move time forward and wake the sleepers that are due, in the order of their deadlines.
    fn advance(slf: &Bound<'_, Self>, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        slf.get().time.advance(forward(seconds)?);
        Self::wake_due(slf)
    }

    /// Set the time, backwards too: sleepers then keep the time they had left.
    fn set_time(slf: &Bound<'_, Self>, time_value: &Bound<'_, PyAny>) -> PyResult<()> {
        let time = instant(finite("time_value", time_value)?);
        slf.get().time.set_time(time);
        Self::wake_due(slf)
    }

    /// Move time to this sleep's own deadline, never further, and return.
    fn sleep(slf: &Bound<'_, Self>, seconds: &Bound<'_, PyAny>) -> PyResult<()> {
        let seconds = finite("seconds", seconds)?;
        slf.get().time.sleep_blocking(span(seconds));
        Self::wake_due(slf)
    }

    /// Set the time a new clock starts at, and check the arguments of `MockClock`.
    fn _start(&self, start_time: &Bound<'_, PyAny>, autojump: &Bound<'_, PyAny>) -> PyResult<()> {
        let start = start_time.extract().unwrap_or(f64::NAN);
        if !(-FURTHEST_START..=FURTHEST_START).contains(&start) {
            let advice = "give seconds as a number from -4e9 to 4e9";
            return Err(invalid_config(start_time.py(), "start_time", start_time, advice));
        }
        if !autojump.is_instance_of::<PyBool>() {
            let advice = "give True or False";
            return Err(invalid_config(autojump.py(), "autojump", autojump, advice));
        }
        self.time.set_time(instant(start));
        Ok(())
    }

    /// Have `_wake(key)` called once `seconds` have passed; the number returned is for `_leave`.
    fn _register(slf: &Bound<'_, Self>, seconds: f64, key: u64) -> PyResult<u64> {
        let Self { time, due } = slf.get();
        let waker = Arc::new(Note { key, due: due.clone() }).into();
        let number = time.register(time.steady() + span(seconds), waker);
        Self::wake_due(slf)?;
        Ok(number)
    }

    /// Forget a sleeper; it no longer moves time.
    fn _leave(&self, number: u64) {
        drop(self.time.unregister(number));
    }

    /// Move time to the earliest deadline, if anybody sleeps.
    fn _jump(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().time.jump();
        Self::wake_due(slf)
    }

    /// Return whether others are about to wake at this very moment.
    fn _are_due(&self) -> bool {
        !self.due.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Return the steady time `seconds` from now, for `_step`.
    fn _after(&self, seconds: &Bound<'_, PyAny>) -> PyResult<i64> {
        Ok((self.time.steady() + forward(seconds)?).as_nanos())
    }

    /// Move time to the earliest deadline up to `end`, else to `end`; whether somebody was due.
    fn _step(slf: &Bound<'_, Self>, end: i64) -> PyResult<bool> {
        let time = &slf.get().time;
        let left = Instant::from_nanos(end).saturating_duration_since(time.steady());
        let due = time.next_deadline().is_some_and(|wait| wait <= left);
        if due {
            time.jump();
        } else {
            time.advance(left);
        }
        Self::wake_due(slf)?;
        Ok(due)
    }
}

impl MockTime {
    /// Returns the clock that limiters read.
    pub(crate) fn time(&self) -> &MockClock {
        &self.time
    }

    /// Tells everybody who is due, in order; the first error comes out after the last was told.
    fn wake_due(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut told = Ok(());
        while let Some(key) = slf.get().due.pop() {
            let wake = slf.call_method1(intern!(slf.py(), "_wake"), (key,)).map(drop);
            told = told.and(wake);
        }
        told
    }
}

/// Requires a finite number.
fn finite(parameter: &str, value: &Bound<'_, PyAny>) -> PyResult<f64> {
    let wrong = || {
        PyResult::Ok(format!("{parameter} is {}; give a finite number of seconds", value.repr()?))
    };
    match value.extract::<f64>() {
        Ok(seconds) if seconds.is_finite() => Ok(seconds),
        Ok(_) => Err(PyValueError::new_err(wrong()?)),
        Err(error) if error.is_instance_of::<PyTypeError>(value.py()) => {
            Err(PyTypeError::new_err(wrong()?))
        }
        Err(error) => Err(error),
    }
}

/// Requires a time that is not negative.
fn forward(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let seconds = finite("seconds", value)?;
    if seconds < 0.0 {
        let message =
            format!("seconds is {}, which is negative; set_time() goes back", value.repr()?);
        return Err(PyValueError::new_err(message));
    }
    Ok(span(seconds))
}

/// Returns a time to wait: none if negative, and at least a nanosecond if there is any.
fn span(seconds: f64) -> Duration {
    let least = if seconds > 0.0 { Duration::from_nanos(1) } else { Duration::ZERO };
    duration(seconds).max(least)
}
