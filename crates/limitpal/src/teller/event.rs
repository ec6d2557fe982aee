//! What observers hear of.

use std::sync::Arc;

use crate::retry_after::RetryAfter;

/// What an observer hears of; [`AnyLimiter::observe`](crate::AnyLimiter::observe) says when.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A call was refused: an `allow` or `check` that said no, an `acquire` that did not wait.
    #[non_exhaustive]
    Refused {
        /// The caller's key, before any `key_by`.
        key: Arc<str>,
        /// How many permits it asked for.
        cost: u64,
        /// When to come back.
        retry_after: RetryAfter,
    },
    /// A call brought what is used of a key's limit up to the chosen share, or past it.
    #[non_exhaustive]
    NearLimit {
        /// The caller's key, before any `key_by`.
        key: Arc<str>,
        /// Whole permits used after the call.
        used: u32,
        /// Permits there are in all.
        limit: u32,
        /// The share that was chosen.
        share: f64,
    },
    /// At least nine in ten of the last calls came with a key of their own: such keys limit nothing.
    #[non_exhaustive]
    KeysGrowLikeCalls {
        /// How many calls were looked at: 4,096.
        calls: u32,
        /// How many of them came with a key that was not remembered, and not seen among them.
        new_keys: u32,
    },
    /// Keys were forgotten though they were in use, since `max_buckets` left no room.
    #[non_exhaustive]
    EvictedLive {
        /// The key whose call found out: as a rule the one that took the place.
        key: Arc<str>,
        /// How many, since the last such event.
        evicted: u64,
        /// How many in all: `evicted_live` of the limiter.
        total: u64,
    },
}
