//! What observers hear of.

mod run_end;

use std::sync::Arc;
use std::time::Duration;

pub use self::run_end::RunEnd;
use crate::circuit_state::{CircuitState, MoveReason};
use crate::outcome::Outcome;
use crate::refusal::CircuitBreakerOpen;
use crate::retry_after::RetryAfter;

/// What an observer hears of; [`AnyLimiter::observe`](crate::AnyLimiter::observe),
/// [`CircuitBreaker::observe`](crate::CircuitBreaker::observe) and
/// [`ResilientExecutor::observe`](crate::ResilientExecutor::observe) say when.
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
        /// By which rule, or by whom.
        reason: MoveReason,
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
    /// A run of an executor began.
    #[non_exhaustive]
    RunBegan {
        /// The run's key.
        key: Arc<str>,
        /// Which run it is, of those that were told of, counted from 1.
        run: u64,
    },
    /// An attempt is about to begin: the function is called next.
    #[non_exhaustive]
    AttemptBegan {
        /// The run's key.
        key: Arc<str>,
        /// As that of `RunBegan`.
        run: u64,
        /// Its number in the run, counted from 1.
        attempt: u32,
    },
    /// An attempt failed, in all its tries if there were several.
    #[non_exhaustive]
    AttemptFailed {
        /// The run's key.
        key: Arc<str>,
        /// As that of `RunBegan`.
        run: u64,
        /// As that of `AttemptBegan`.
        attempt: u32,
        /// What the error is: its type's name.
        error: Arc<str>,
        /// What it says.
        words: Arc<str>,
        /// Whether it deserves another attempt, if there is one left.
        retryable: bool,
        /// As what it counts for a circuit breaker; none: as neither.
        outcome: Option<Outcome>,
    },
    /// Another attempt was planned, after a wait.
    #[non_exhaustive]
    RetryPlanned {
        /// The run's key.
        key: Arc<str>,
        /// As that of `RunBegan`.
        run: u64,
        /// The number of the attempt to come.
        attempt: u32,
        /// How long the wait is.
        delay: Duration,
    },
    /// A slow attempt was given another try.
    #[non_exhaustive]
    HedgeStarted {
        /// The run's key.
        key: Arc<str>,
        /// As that of `RunBegan`.
        run: u64,
        /// As that of `AttemptBegan`.
        attempt: u32,
        /// Which of the attempt's hedges it is, counted from 1.
        hedge: u32,
    },
    /// A run of an executor ended, and all it held has gone back.
    #[non_exhaustive]
    RunEnded {
        /// The run's key.
        key: Arc<str>,
        /// As that of `RunBegan`.
        run: u64,
        /// How it ended.
        end: RunEnd,
        /// How many attempts it has begun.
        attempts: u32,
        /// How long it has waited for quota and for a place in the bulkhead.
        waited: Duration,
        /// How long it has slept between attempts, as planned.
        backed_off: Duration,
        /// How long it has lasted by the executor's clock; none if that failed.
        lasted: Option<Duration>,
    },
}
