//! What a run does next.

use std::time::Duration;

use crate::refusal::{
    BulkheadFull, CircuitBreakerOpen, RateLimitExceeded, StopReason, TimeoutExceeded,
};
use crate::retry_after::RetryAfter;

/// What the loop that drives a [`Call`](crate::Call) does next, and what it tells the call then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Take quota, and a place in the bulkhead, waiting for at most this long; then `granted`,
    /// `refused` or `full`.
    ///
    /// The loop keeps the quota until the next attempt, which spends it. If the run stops before
    /// that, the loop gives it back.
    Acquire {
        /// The longest wait; without it, as long as it takes.
        timeout: Option<Duration>,
    },
    /// Sleep for this long; then `slept`.
    Wait(Duration),
    /// Call the user's function for the time with this number, counted from 1; then `succeeded`,
    /// `failed`, `timed_out` or `own_refusal`.
    Attempt(u32),
    /// The run is over, without a value.
    Stop(Stop),
}

/// Why a run ended without a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Stop {
    /// There was no quota in time, and the function was not called.
    RateLimitExceeded(RateLimitExceeded),
    /// The circuit is open, and the function was not called.
    CircuitBreakerOpen(CircuitBreakerOpen),
    /// The bulkhead is full, and the function was not called.
    BulkheadFull(BulkheadFull),
    /// The time of the run is over, or that of an attempt that deserved no other.
    TimeoutExceeded(TimeoutExceeded),
    /// The last error deserved another attempt, which there was not.
    RetryExhausted(StopReason),
    /// The last error deserved no other attempt: it comes out unchanged.
    Failed,
}

impl Stop {
    /// Returns how a run ends that gets no quota in time, after so many attempts.
    #[inline]
    pub(crate) fn refused(
        attempts: u32,
        retry_after: RetryAfter,
        reason: impl FnOnce() -> StopReason,
    ) -> Self {
        match attempts {
            0 => Self::RateLimitExceeded(RateLimitExceeded::new(retry_after)),
            _ => Self::RetryExhausted(reason()),
        }
    }

    /// Returns how a run ends that finds the bulkhead full, after so many attempts.
    pub(crate) fn full(attempts: u32, refusal: BulkheadFull) -> Self {
        match attempts {
            0 => Self::BulkheadFull(refusal),
            _ => Self::RetryExhausted(StopReason::BulkheadFull),
        }
    }
}
