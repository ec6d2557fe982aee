//! What observers hear of.

use std::sync::Arc;

use crate::circuit_state::CircuitState;
use crate::refusal::CircuitBreakerOpen;
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
    /// A circuit breaker went from one state to another.
    #[non_exhaustive]
    BreakerMoved {
        /// Whose circuit it is, where there is one for each key; else empty.
        key: Arc<str>,
        /// The state before.
        from: CircuitState,
        /// The state after.
        to: CircuitState,
    },
    /// A circuit breaker refused a call; in shadow, it would have.
    #[non_exhaustive]
    BreakerRefused {
        /// As that of `BreakerMoved`.
        key: Arc<str>,
        /// When it may admit, and how it stood.
        refusal: CircuitBreakerOpen,
    },
    /// A call through a circuit breaker failed, and that counted.
    #[non_exhaustive]
    BreakerFailed {
        /// As that of `BreakerMoved`.
        key: Arc<str>,
    },
}
