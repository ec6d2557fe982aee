//! Every way to be turned away, on one page.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::config::InvalidConfig;
use crate::retry_after::RetryAfter;

/// No quota within the time one was willing to wait. Nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimitExceeded {
    retry_after: RetryAfter,
}

impl RateLimitExceeded {
    /// Makes the refusal that counts until a further attempt would succeed at once.
    pub const fn new(retry_after: RetryAfter) -> Self {
        Self { retry_after }
    }

    /// Returns the time until acquiring without waiting would succeed, if nobody else takes.
    pub const fn retry_after(self) -> RetryAfter {
        self.retry_after
    }
}

impl fmt::Display for RateLimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            RetryAfter::Now => f.write_str("no permit in time; try again now"),
            RetryAfter::After(wait) => write!(f, "no permit in time; next in {wait:.2?}"),
            RetryAfter::Never => f.write_str("the cost is above the capacity; lower the cost"),
            RetryAfter::Unknown => f.write_str("no permit in time"),
        }
    }
}

impl std::error::Error for RateLimitExceeded {}

/// The circuit is open, its probes are all out, or it was forced open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CircuitBreakerOpen {
    /// None: it was forced open.
    retry_after: Option<Duration>,
}

impl CircuitBreakerOpen {
    /// Makes the refusal that counts until the circuit may admit.
    pub const fn new(retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after) }
    }

    /// Makes the refusal of a circuit that stays open until somebody says otherwise.
    pub const fn forced() -> Self {
        Self { retry_after: None }
    }

    /// Returns the time until the circuit may admit; while probes are out, until the oldest lapses;
    /// on a ramp, until it ends, where an earlier call may be admitted too. None if it was forced
    /// open: nobody can say.
    pub const fn retry_after(self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for CircuitBreakerOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            Some(wait) => write!(f, "the circuit is open; it may admit in {wait:.2?}"),
            None => f.write_str("the circuit was forced open; nobody can say until when"),
        }
    }
}

impl std::error::Error for CircuitBreakerOpen {}

/// Why a run stopped after an error that deserved another attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// The attempts are used up.
    Attempts,
    /// The circuit opened meanwhile.
    CircuitOpen,
    /// No quota for another attempt within `acquire_timeout`.
    RateLimited,
    /// Another attempt would begin after `max_elapsed`.
    Elapsed,
    /// The retry budget has no other attempt.
    Budget,
}

impl StopReason {
    /// Returns the reason as one word: `attempts`, `circuit_open`, `rate_limited`, `elapsed` or
    /// `budget`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::CircuitOpen => "circuit_open",
            Self::RateLimited => "rate_limited",
            Self::Elapsed => "elapsed",
            Self::Budget => "budget",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns whether an error is a refusal of ours, which says nothing about the other side.
pub(crate) fn is_own_refusal<E: 'static>(error: &E) -> bool {
    let error: &dyn Any = error;
    let in_box = error.downcast_ref::<Box<dyn Error + Send + Sync>>().is_some_and(|error| {
        error.is::<RateLimitExceeded>()
            || error.is::<CircuitBreakerOpen>()
            || error.is::<InvalidConfig>()
    });
    in_box
        || error.is::<RateLimitExceeded>()
        || error.is::<CircuitBreakerOpen>()
        || error.is::<InvalidConfig>()
}
