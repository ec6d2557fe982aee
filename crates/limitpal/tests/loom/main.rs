//! Models: what a few threads can do to one another, each interleaving of them walked by loom.
//!
//! A model is small: two or three threads of two or three steps. loom runs it again for every
//! order of their locks and atomics, and for every value that an atomic may show by its ordering;
//! an assertion that fails in any of these runs fails the test, and so do threads that wait for
//! ever. What a model asserts therefore holds for all interleavings; where they are too many, for
//! those with a few preemptions (times that a thread is stopped where it could have run on).
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release --package limitpal --no-default-features \
//!     --lib --test loom --target-dir target/loom
//! ```
//!
//! The counter of `clock/counter.rs` is private, and so are its models, which stand beside it.
//!
//! Where loom does not go: no exchange fails without a reason, nothing is read before it is
//! written, and there is no time. Sleeps are those of `MockClock` or of `bells`; blocking waiters, which park
//! with a timeout, are the same two calls of the store with another waker.
#![cfg(loom)]

mod bells;
mod breaker;
mod breakers;
mod eviction;
mod front;
mod gates;
mod joined;
mod one_bucket;
mod throttle;
mod turns;
mod waiting;
mod windows;

use std::convert::Infallible;
use std::sync::Arc;

use limitpal::parts::{
    Bucket, Fingerprint, Grant, Pace, Request, Scope, Store, StoreOptions, Stored, Turn,
};
use limitpal::{Instant, Rate};

/// Walks all interleavings of a model.
fn model(threads: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(threads);
}

/// Walks those with so many preemptions at most, of a model that has too many others.
fn model_within(preemptions: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(threads);
}

/// The clock reads so many seconds.
fn at(seconds: i64) -> impl Fn() -> Result<Instant, Infallible> {
    move || Ok(instant(seconds))
}

fn instant(seconds: i64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// Makes a store of buckets that hold `capacity` and get one permit back in each second.
fn store(capacity: u32, options: StoreOptions, one_bucket: bool) -> Arc<Store> {
    let rate = Rate::per_second(1.0).expect("a good rate");
    let bucket = Bucket::new(capacity, rate, Pace::Burst).expect("a good bucket");
    let scope = Scope { one_bucket, steady_clock: true };
    Arc::new(Store::new(bucket, options, scope).expect("good options"))
}

fn take<A: Stored>(store: &Store<A>, key: Fingerprint, seconds: i64) -> Option<Grant> {
    let Ok(grant) = store.take(key, 1, at(seconds));
    grant
}

/// Returns the whole permits that are left.
fn left<A: Stored>(store: &Store<A>, key: Fingerprint, seconds: i64) -> u32 {
    let Ok(decision) = store.peek(key, 1, at(seconds));
    decision.remaining
}

/// Asks for a permit, however long the wait.
fn reserve(store: &Store, key: Fingerprint, seconds: i64) -> Turn {
    let request = Request { cost: 1, timeout: None, fixed: false, ticket: None };
    let Ok(turn) = store.reserve(key, request, at(seconds));
    turn
}
