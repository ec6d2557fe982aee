//! Why one does not come in: for lack of quota, or of a place in a bulkhead.

use std::convert::Infallible;

use super::super::concurrency::Door;
use crate::refusal::{BulkheadFull, RateLimitExceeded};
use crate::retry_after::RetryAfter;

/// Why one does not come in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied {
    /// There is no quota in time, or no permit of a concurrency limiter.
    Quota(RateLimitExceeded),
    /// The bulkhead is full.
    Full(BulkheadFull),
}

impl Denied {
    /// Says that quota would come too late.
    pub(super) fn too_late(retry_after: RetryAfter) -> Self {
        Self::Quota(RateLimitExceeded::new(retry_after))
    }

    /// Says that a door has no permit in time.
    pub(super) fn shut(door: &Door<Infallible>, retry_after: RetryAfter) -> Self {
        if door.is_bulkhead() {
            return Self::Full(BulkheadFull::new(door.gates().limit()));
        }
        Self::too_late(retry_after)
    }

    /// Returns the refusal of limiters among which there is no bulkhead.
    pub(super) fn of_limiters(self) -> RateLimitExceeded {
        match self {
            Self::Quota(refusal) => refusal,
            Self::Full(_) => RateLimitExceeded::new(RetryAfter::Unknown),
        }
    }
}

impl From<RateLimitExceeded> for Denied {
    fn from(refusal: RateLimitExceeded) -> Self {
        Self::Quota(refusal)
    }
}
