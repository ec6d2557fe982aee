//! Which clock several parts have in common.

use std::ffi::CString;

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;

use crate::clock::PyClock;

/// Returns the clock that was given, else the one the parts share, else the monotonic one.
///
/// Warns where a mock clock and a real one are mixed: then one part's time stands still. The
/// warning points as many frames up as `stack_level` says: 1 is whoever called into Rust, which for a
/// constructor is `_meant.py`, around which stands whoever wants the object.
pub(crate) fn resolve(
    py: Python<'_>,
    given: Option<&Bound<'_, PyAny>>,
    parts: &[&PyClock],
    stack_level: i32,
) -> PyResult<PyClock> {
    let clock = match (given, parts) {
        (Some(given), _) => PyClock::resolve(Some(given))?,
        (None, [first, rest @ ..]) if rest.iter().all(|part| part.same_clock(first)) => {
            first.clone_ref(py)
        }
        (None, _) => PyClock::Monotonic,
    };
    if parts.iter().any(|part| part.is_mock() != clock.is_mock()) {
        let message = if given.is_none() && parts.iter().all(|part| part.is_mock()) {
            "the parts have different MockClocks; give all parts the same clock"
        } else {
            "a MockClock and a real clock are mixed; give all parts the same clock"
        };
        let message = CString::new(message).expect("a literal without a zero byte");
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &message, stack_level)?;
    }
    Ok(clock)
}
