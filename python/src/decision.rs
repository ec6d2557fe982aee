//! A limiter's answer, as Python sees it.

use limitpal::{Decision as CoreDecision, RetryAfter};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use crate::seconds;

/// A limiter's answer: truthy when allowed, with the numbers.
///
/// >>> from limitpal import MockClock, TokenBucket
/// >>> limiter = TokenBucket(capacity=1, refill_rate=2, clock=MockClock())
/// >>> limiter.check("ann")
/// Decision(allowed=True, limit=1, remaining=0, retry_after=0.0, reset_after=0.5)
/// >>> limiter.check("ann").retry_after
/// 0.5
#[pyclass(frozen, eq, module = "limitpal._limitpal")]
#[derive(PartialEq)]
pub(crate) struct Decision {
    /// Whether the call may go now.
    #[pyo3(get)]
    allowed: bool,
    /// The capacity of the bucket.
    #[pyo3(get)]
    limit: u32,
    /// Whole permits left after this decision; for `peek`, now.
    #[pyo3(get)]
    remaining: u32,
    /// Seconds until it would be allowed: 0.0 now, `inf` never, None where it cannot be known.
    #[pyo3(get)]
    retry_after: Option<f64>,
    /// Seconds until the bucket is as new.
    #[pyo3(get)]
    reset_after: f64,
}

#[pymethods]
impl Decision {
    #[new]
    #[pyo3(signature = (allowed, limit, remaining, retry_after, reset_after))]
    fn new(
        allowed: bool,
        limit: u32,
        remaining: u32,
        retry_after: Option<f64>,
        reset_after: f64,
    ) -> Self {
        Self { allowed, limit, remaining, retry_after, reset_after }
    }

    fn __bool__(&self) -> bool {
        self.allowed
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        let bits = (self.retry_after.map(f64::to_bits), self.reset_after.to_bits());
        (self.allowed, self.limit, self.remaining, bits).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Self { limit, remaining, .. } = self;
        let allowed = if self.allowed { "True" } else { "False" };
        let retry_after = self.retry_after.into_pyobject(py)?.repr()?;
        let reset_after = self.reset_after.into_pyobject(py)?.repr()?;
        Ok(format!(
            "Decision(allowed={allowed}, limit={limit}, remaining={remaining}, \
             retry_after={retry_after}, reset_after={reset_after})"
        ))
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let decision = slf.get();
        let arguments = (
            decision.allowed,
            decision.limit,
            decision.remaining,
            decision.retry_after,
            decision.reset_after,
        );
        Ok((slf.get_type().into_any(), arguments.into_pyobject(slf.py())?))
    }
}

impl From<CoreDecision> for Decision {
    fn from(decision: CoreDecision) -> Self {
        Self {
            allowed: decision.allowed,
            limit: decision.limit,
            remaining: decision.remaining,
            retry_after: match decision.retry_after {
                RetryAfter::Now => Some(0.0),
                RetryAfter::After(wait) => Some(seconds::float(wait)),
                RetryAfter::Never => Some(f64::INFINITY),
                _ => None,
            },
            reset_after: seconds::float(decision.reset_after),
        }
    }
}
