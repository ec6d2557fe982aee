//! Rate limiting, retry and circuit breaking in one pipeline, with one clock, sync and async.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adaptive;
mod adaptive_concurrency;
mod algorithm;
mod backoff;
mod breaker;
mod budget;
mod cache;
mod call;
mod circuit_breaker;
mod circuit_state;
mod client_throttle;
mod clock;
mod config;
mod decision;
mod executor;
mod gates;
mod hedge;
mod hedging;
mod limiter;
mod outcome;
mod random;
mod rate;
mod refusal;
mod registry;
mod retry;
mod retry_after;
mod retry_budget;
mod shards;
mod shelf;
mod stats;
mod store;
mod sync;
mod teller;
mod throttle;
mod time;
mod waiting;

pub use crate::adaptive_concurrency::{
    AdaptiveAlgorithm, AdaptiveConcurrency, AdaptiveConcurrencyBuilder, AdaptivePermit,
};
pub use crate::algorithm::{Align, Carry, Limits, RateAlgorithm};
pub use crate::backoff::{Delays, Jitter};
pub use crate::cache::{Cache, CacheBuilder, CacheStats};
pub use crate::call::{
    Call, Charge, Clocks, ExecutorStats, Failure, Ledger, Plan, Rehearsal, Step, Stop,
};
#[doc(hidden)]
pub use crate::circuit_breaker::{
    BreakerCell, BreakerEvent, BreakerOptions, BreakerSettings, BreakerTable, EventKind, Permit,
};
pub use crate::circuit_breaker::{
    BreakerError, BreakerMode, BreakerStats, CallbackId, CircuitBreaker, CircuitBreakerBuilder,
    CircuitState, ConsecutiveFailures, FailureRate, KeyedBreakerStats, KeyedCircuitBreaker,
    MoveReason, Outcome, SlowCallRate, TripRule,
};
pub use crate::client_throttle::{
    ClientThrottle, ClientThrottleBuilder, ThrottleError, ThrottledCalls,
};
#[cfg(feature = "tokio")]
pub use crate::clock::TokioClock;
pub use crate::clock::{
    Clock, Deadline, MockClock, MonotonicClock, SharedClock, Sleep, TimeSource,
};
pub use crate::config::InvalidConfig;
pub use crate::decision::Decision;
pub use crate::executor::{
    BadAnswer, Fallback, JudgedExecutor, ResilientExecutor, ResilientExecutorBuilder,
    RetryExhausted, RunError, TypedExecutor,
};
pub use crate::hedge::{Hedge, HedgeBuilder};
pub use crate::limiter::{
    AdaptiveCalls, AdaptiveError, AdaptiveLimiter, AdaptiveLimiterBuilder, AnyLimiter, Ask,
    BucketBuilder, Bulkhead, BulkheadBuilder, Change, CompositeLimiter, CompositePermit,
    ConcurrencyLimiter, ConcurrencyLimiterBuilder, ConcurrencyPermit, Cost, FairBucket,
    FairBucketBuilder, FixedWindow, HoldingLimiter, LeakyBucket, Quota, SlidingWindowCounter,
    SlidingWindowLog, StrictBuilder, TokenBucket, Unused, WarmUpBucket, WarmUpBuilder,
    WindowBuilder, strict,
};
pub use crate::rate::Rate;
pub use crate::refusal::{
    BulkheadFull, CircuitBreakerOpen, Explanation, OpenReason, RateLimitExceeded, StopReason,
    TimeoutExceeded, TimeoutScope,
};
pub use crate::registry::Registry;
pub use crate::retry::{Attempt, AttemptEnd, RetryPolicy, RetryPolicyBuilder};
#[doc(hidden)]
pub use crate::retry::{RetryOptions, RetrySettings, Spacing};
pub use crate::retry_after::RetryAfter;
pub use crate::retry_budget::{RetryBudget, RetryBudgetBuilder};
pub use crate::stats::LimiterStats;
pub use crate::store::Evict;
pub use crate::teller::{Event, RunEnd, Subscription};
pub use crate::time::Instant;

/// The parts below: for whoever brings a clock that can fail, or a runtime of their own.
///
/// The Python package is built on these. They may change with any release.
#[doc(hidden)]
pub mod parts {
    pub use crate::adaptive_concurrency::{
        Adaptive, AdaptiveCell, AdaptiveSettings, Partitions, Taken,
    };
    pub use crate::algorithm::{
        AdaptiveRate, AdaptiveRateSettings, Algorithm, Bucket, Bytes, FixedCount, Heard, Pace,
        Saved, SlidingCount, SlidingLog, WarmUp, Window,
    };
    pub use crate::backoff::Shape;
    pub use crate::cache::{Found, Keeping, Shelf};
    pub use crate::call::{Race, Reading, RunNumber, TryCharge, TryEnd, Verdict};
    pub use crate::client_throttle::{Answer, Counted, ThrottleCell, ThrottleSettings};
    pub use crate::gates::{Entry, Gates, Queued, Standing};
    pub use crate::hedge::{HedgeCell, HedgeSettings};
    pub use crate::limiter::{
        Arrival, Behind, Composite, Door, FairKeyed, Held, KeyBy, Keyed, KeyedOptions, Keys, Part,
        QuotaBy, Step as CompositeStep, Wish, gave_up, strict_burst,
    };
    pub use crate::retry::exponential;
    pub use crate::retry_budget::{BudgetCell, BudgetSettings};
    pub use crate::shards::Fingerprint;
    pub use crate::store::{
        Grant, Pending, Place, Request, Scope, Shares, Sight, Store, StoreOptions, Stored, Turn,
    };
    pub use crate::teller::{Observer, Seen, Teller};
}

/// The programs in Rust of the README and the docs run with the other examples.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/adaptive.md")]
    struct Adaptive;
    #[doc = include_str!("../../../docs/adaptive-rate.md")]
    struct AdaptiveRate;
    #[doc = include_str!("../../../docs/bulkhead.md")]
    struct Bulkhead;
    #[doc = include_str!("../../../docs/cache.md")]
    struct Cache;
    #[doc = include_str!("../../../docs/circuit-breaker.md")]
    struct CircuitBreaker;
    #[doc = include_str!("../../../docs/concurrency.md")]
    struct Concurrency;
    #[doc = include_str!("../../../docs/events.md")]
    struct Events;
    #[doc = include_str!("../../../docs/executors.md")]
    struct Executors;
    #[doc = include_str!("../../../docs/explain.md")]
    struct Explain;
    #[doc = include_str!("../../../docs/fair-shares.md")]
    struct FairShares;
    #[doc = include_str!("../../../docs/fallback.md")]
    struct Fallback;
    #[doc = include_str!("../../../docs/hedging.md")]
    struct Hedging;
    #[doc = include_str!("../../../docs/limits-in-words.md")]
    struct LimitsInWords;
    #[doc = include_str!("../../../docs/live-change.md")]
    struct LiveChange;
    #[doc = include_str!("../../../docs/memory.md")]
    struct Memory;
    #[doc = include_str!("../../../docs/retry.md")]
    struct Retry;
    #[doc = include_str!("../../../docs/timeouts.md")]
    struct Timeouts;
    #[doc = include_str!("../../../docs/stats.md")]
    struct Stats;
}
