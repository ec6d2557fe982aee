//! The tests of the crate in one binary, a file for each concept.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod adaptive_concurrency;
mod adaptive_limiter;
mod breaker;
mod bulkhead;
mod cache;
mod call;
mod client_throttle;
mod clock;
mod concurrency;
mod concurrency_exhaustive;
mod conformance;
mod delays;
mod events;
mod evict;
mod executor;
mod executor_stats;
mod fair;
mod fallback;
mod freed_places;
mod full_store;
mod hedge;
mod holding;
mod large_store;
mod laws;
mod layers;
mod live_change;
mod models;
mod one_bucket;
mod real_clock;
mod registry;
mod retry;
mod retry_budget;
mod snapshot;
mod strict;
mod timeouts;
mod token_bucket;
mod waiters;
mod waiting_crowd;
mod waiting_exhaustive;
mod warm_up;
mod windows;
mod words;
mod worst_case;
