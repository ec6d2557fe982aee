//! How a run of an executor ended, in one word.

use std::fmt;

use crate::refusal::StopReason;

/// How a run of an executor ended: for each of them there is a count in
/// [`ExecutorStats`](crate::ExecutorStats).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RunEnd {
    /// With a value.
    Success,
    /// With an error that deserved no other attempt.
    Failed,
    /// With an error that deserved another attempt, which there was not, for this reason.
    Exhausted(StopReason),
    /// The time of the run was over, or that of an attempt that deserved no other.
    TimedOut,
    /// The limiter refused it before its first attempt.
    RefusedByLimiter,
    /// The circuit breaker refused it before its first attempt.
    RefusedByBreaker,
    /// It found the bulkhead full before its first attempt.
    RefusedByBulkhead,
    /// Its time was over before its first attempt.
    RefusedByTimeout,
    /// Without an answer: cancelled, dropped, or by a panic.
    Cancelled,
}

impl RunEnd {
    /// Returns the end as one word, such as `refused_by_limiter`; its reason is left out.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Exhausted(_) => "exhausted",
            Self::TimedOut => "timed_out",
            Self::RefusedByLimiter => "refused_by_limiter",
            Self::RefusedByBreaker => "refused_by_breaker",
            Self::RefusedByBulkhead => "refused_by_bulkhead",
            Self::RefusedByTimeout => "refused_by_timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns why there was no other attempt, where there could have been one.
    pub const fn reason(self) -> Option<StopReason> {
        match self {
            Self::Exhausted(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
