//! The errors of a run so far, and the one with which it stops.

use limitpal::Stop;
use pyo3::prelude::*;

use crate::errors;

/// The errors of a run so far.
#[derive(Default)]
pub(crate) struct Errors {
    /// That of the last attempt.
    pub(crate) last: Option<PyErr>,
    /// The value of the last attempt, in place of an error.
    pub(crate) result: Option<Py<PyAny>>,
    /// That of the limiter that refused.
    pub(crate) refusal: Option<PyErr>,
}

impl Errors {
    /// Returns the error of the last attempt, for the next one.
    pub(crate) fn last_value(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.last.as_ref().map(|error| error.value(py).clone().into_any().unbind())
    }

    /// Makes the error with which a run stops.
    pub(crate) fn stop(self, py: Python<'_>, stop: Stop, attempts: u32) -> PyErr {
        if let (Stop::RetryExhausted(reason), None, Some(result)) = (stop, &self.last, self.result)
        {
            return errors::result_exhausted(py, attempts, result, reason.as_str());
        }
        let error = match stop {
            Stop::CircuitBreakerOpen(refusal) => return errors::circuit_breaker_open(py, refusal),
            Stop::TimeoutExceeded(timeout) if attempts == 0 => {
                return errors::timeout_exceeded(py, timeout);
            }
            Stop::RateLimitExceeded(_) | Stop::BulkheadFull(_) => self.refusal,
            _ => self.last,
        };
        let error = error.expect("a run stops after an attempt or a refusal");
        match stop {
            Stop::RetryExhausted(reason) => {
                errors::retry_exhausted(py, attempts, error, reason.as_str())
            }
            _ => error,
        }
    }
}
