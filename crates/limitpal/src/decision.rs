//! A limiter's answer: allowed with what remains, or denied with when to come back.

use std::time::Duration;

/// What a limiter answers to [`check`](crate::TokenBucket::check) and `peek`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call may go now.
    pub allowed: bool,
    /// The capacity of the bucket.
    pub limit: u32,
    /// Whole permits left after this decision (for `peek`: now).
    pub remaining: u32,
    /// When to come back.
    pub retry_after: RetryAfter,
    /// The time until the bucket is as new.
    pub reset_after: Duration,
}

impl Decision {
    /// Puts an answer together, for limiters of your own.
    pub const fn new(
        limit: u32,
        remaining: u32,
        retry_after: RetryAfter,
        reset_after: Duration,
    ) -> Self {
        let allowed = matches!(retry_after, RetryAfter::Now);
        Self { allowed, limit, remaining, retry_after, reset_after }
    }
}

/// When a refused call would succeed if nobody else took meanwhile.
///
/// The order is by how long one has to wait; what cannot be known comes last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum RetryAfter {
    /// At once: it was allowed.
    Now,
    /// After this time: refused a nanosecond before, admitted at it.
    After(Duration),
    /// Never: its cost is above the capacity.
    Never,
    /// It cannot be known.
    Unknown,
}

impl RetryAfter {
    /// Returns the answer for a wait: `Now` when there is none.
    pub(crate) const fn wait(wait: Duration) -> Self {
        if wait.is_zero() { Self::Now } else { Self::After(wait) }
    }

    /// Returns the time to wait, where there is an end to it.
    pub const fn duration(self) -> Option<Duration> {
        match self {
            Self::Now => Some(Duration::ZERO),
            Self::After(wait) => Some(wait),
            Self::Never | Self::Unknown => None,
        }
    }
}
