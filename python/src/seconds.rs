//! Float seconds at the border, `Duration` inside: the one place that converts.

use std::time::Duration;

use limitpal::RetryAfter;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::errors;

/// As good as for ever: 200 years.
const LONGEST: f64 = 6.3e9;

/// Returns a number given by the user as a float; anything else is refused by name.
pub(crate) fn number(parameter: &str, value: &Bound<'_, PyAny>, advice: &str) -> PyResult<f64> {
    let refuse = || errors::invalid_config(value.py(), parameter, value, advice);
    if value.is_instance_of::<PyBool>() {
        return Err(refuse());
    }
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>() {
        return value.extract().map_err(|_| refuse());
    }
    // A decimal or a fraction is a number too; text is not.
    if value.hasattr("__float__")? { value.extract().map_err(|_| refuse()) } else { Err(refuse()) }
}

/// Returns a time of more than 0 seconds.
pub(crate) fn positive(parameter: &str, value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    const ADVICE: &str = "give a time in seconds above 0, 100 years at most";
    let seconds = number(parameter, value, ADVICE)?;
    let span = duration(seconds);
    if seconds.is_nan() || span.is_zero() || seconds > 100.0 * 31_557_600.0 {
        return Err(errors::invalid_config(value.py(), parameter, value, ADVICE));
    }
    Ok(span)
}

/// Returns a time of 0 seconds or more, however long.
pub(crate) fn window(
    parameter: &str,
    value: &Bound<'_, PyAny>,
    advice: &str,
) -> PyResult<Duration> {
    let seconds = number(parameter, value, advice)?;
    if seconds.is_nan() || seconds < 0.0 {
        return Err(errors::invalid_config(value.py(), parameter, value, advice));
    }
    if seconds < LONGEST {
        return Ok(duration(seconds));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Returns how long one is willing to wait: a negative time is none, `None` and `inf` are no limit.
pub(crate) fn timeout(
    parameter: &str,
    value: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Duration>> {
    const ADVICE: &str = "give a time in seconds, or None to wait as long as it takes";
    let Some(value) = value else { return Ok(None) };
    let seconds = number(parameter, value, ADVICE)?;
    if seconds.is_nan() {
        return Err(errors::invalid_config(value.py(), parameter, value, ADVICE));
    }
    Ok((seconds != f64::INFINITY).then(|| duration(seconds)))
}

/// Returns seconds as a duration, to the nearest nanosecond; less than none is none.
pub(crate) fn duration(seconds: f64) -> Duration {
    let nanos = (seconds.clamp(0.0, LONGEST) * 1e9).round();
    Duration::from_nanos(nanos as u64)
}

/// Returns the float that is not below the duration, to the nanosecond.
pub(crate) fn float(span: Duration) -> f64 {
    let mut seconds = span.as_secs_f64();
    while duration(seconds) < span && seconds < LONGEST {
        seconds = seconds.next_up();
    }
    seconds
}

/// Returns `0.0`, the seconds, `inf` or `None`.
pub(crate) fn retry_after<'py>(
    py: Python<'py>,
    retry_after: RetryAfter,
) -> PyResult<Bound<'py, PyAny>> {
    let seconds = match retry_after {
        RetryAfter::Now => Some(0.0),
        RetryAfter::After(wait) => Some(float(wait)),
        RetryAfter::Never => Some(f64::INFINITY),
        _ => None,
    };
    Ok(seconds.into_pyobject(py)?.into_any())
}

/// Writes a span so that it never reads as less than it is: `0.42`.
pub(crate) fn for_people(span: Duration) -> String {
    let hundredths = span.as_nanos().div_ceil(10_000_000);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}
