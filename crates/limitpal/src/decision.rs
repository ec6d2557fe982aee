//! A limiter's answer: allowed with what remains, or denied with when to come back.

use std::time::Duration;

use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// What a limiter answers to [`check`](crate::AnyLimiter::check) and `peek`.
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

    /// Returns how things stand now, told how they will when the key opens.
    pub(crate) fn while_closed(self, now: Instant, opens: Instant) -> Self {
        if opens <= now {
            return self;
        }
        let reset_after = self.reset_after.saturating_add(opens.saturating_duration_since(now));
        Self { remaining: 0, reset_after, ..self }
    }
}
