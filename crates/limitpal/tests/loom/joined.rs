//! Quota that several share, that adapts, or that goes with a permit: whatever threads do with it
//! at once, nobody sleeps though it is its turn, and nothing is there twice.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AdaptiveLimiter, AnyLimiter, ConcurrencyLimiter, FairBucket, HoldingLimiter, MockClock, Quota,
    Rate, TokenBucket,
};
use loom::future::block_on;
use loom::thread;

use super::{model, model_within};

type Waiting<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn second() -> Rate {
    Rate::per_second(1.0).expect("a good rate")
}

/// Starts to wait.
fn begun<T>(acquiring: impl Future<Output = T> + Send + 'static) -> Waiting<T> {
    let mut acquiring: Waiting<T> = Box::pin(acquiring);
    let polled = acquiring.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "there is none");
    acquiring
}

fn quota(limiter: &AnyLimiter, key: &'static str) -> Waiting<Quota> {
    let limiter = limiter.clone();
    begun(async move { limiter.acquire_quota(key, None).await.expect("it waits for ever") })
}

fn fair(clock: &MockClock) -> FairBucket {
    FairBucket::builder(1, second()).clock(clock.clone()).build().expect("good settings")
}

#[test]
fn of_a_fair_bucket_the_next_key_goes_in_the_place_of_one_that_was_dropped() {
    model_within(3, || {
        let clock = MockClock::new();
        let limiter = fair(&clock);
        assert!(limiter.allow("one"));
        let (first, next) = (quota(&limiter, "two"), quota(&limiter, "three"));
        clock.advance(Duration::from_secs(1));

        // Time stands still from here on: the next can go only in the place of the first.
        let next = thread::spawn(|| block_on(next));
        drop(first);
        next.join().expect("the other thread did not panic");
        assert!(!limiter.allow("one"), "one was there, and one went");
    });
}

#[test]
fn of_a_fair_bucket_one_goes_when_the_clock_says_so_though_another_asks_meanwhile() {
    model_within(3, || {
        let clock = MockClock::new();
        let limiter = fair(&clock);
        assert!(limiter.allow("one"));
        let first = quota(&limiter, "two");
        let first = thread::spawn(|| block_on(first));
        let asking = limiter.clone();
        let asking = thread::spawn(move || asking.allow("one"));
        clock.advance(Duration::from_secs(1));

        // Both keys have as much of a share: who waits goes next if the other was faster.
        if asking.join().expect("the other thread did not panic") {
            clock.advance(Duration::from_secs(1));
        }
        first.join().expect("the other thread did not panic");
        assert!(!limiter.allow("three"), "one was there for each");
    });
}

#[test]
fn a_rate_that_falls_keeps_nobody_asleep_whose_turn_it_is() {
    model_within(3, || {
        let clock = MockClock::new();
        let limiter = AdaptiveLimiter::builder(second()).clock(&clock).build();
        let limiter = limiter.expect("good settings");
        assert!(limiter.allow("api"));
        let first = quota(&limiter, "api");
        let first = thread::spawn(|| block_on(first));
        let hearing = limiter.clone();
        let hearing = thread::spawn(move || hearing.record_throttled("api"));
        // At half a permit a second, which is the least, one has come by then.
        clock.advance(Duration::from_secs(2));

        hearing.join().expect("the other thread did not panic");
        first.join().expect("the other thread did not panic");
    });
}

/// Makes a bucket and a pool of one permit each, and both as one.
fn joined(clock: &MockClock) -> (TokenBucket, ConcurrencyLimiter, HoldingLimiter) {
    let bucket = TokenBucket::builder(1, second()).clock(clock.clone());
    let bucket = bucket.build().expect("good settings");
    let pool = ConcurrencyLimiter::builder(1).clock(clock.clone()).build().expect("at least one");
    let both = HoldingLimiter::new([bucket.clone().into(), pool.clone().into()]);
    (bucket, pool, both.expect("two limiters"))
}

#[test]
fn a_permit_that_comes_back_lets_in_one_who_wants_quota_too() {
    model_within(3, || {
        let (bucket, pool, both) = joined(&MockClock::new());
        let held = pool.try_acquire("db").expect("it is free");
        let waiting = begun(async move { both.acquire("db").await.expect("it waits for ever") });
        let waiting = thread::spawn(|| drop(block_on(waiting)));
        drop(held);

        waiting.join().expect("the other thread did not panic");
        assert!(pool.is_empty(), "the permit has come back");
        assert!(!bucket.allow("db"), "the quota is spent");
    });
}

#[test]
fn who_leaves_both_while_a_permit_comes_back_leaves_both_whole() {
    model(|| {
        let (bucket, pool, both) = joined(&MockClock::new());
        let held = pool.try_acquire("db").expect("it is free");
        let waiting = begun(async move { both.acquire("db").await });
        let leaving = thread::spawn(|| drop(waiting));
        drop(held);

        leaving.join().expect("the other thread did not panic");
        assert!(pool.try_acquire("db").is_some(), "nobody is inside");
        assert!(bucket.allow("db"), "nothing was taken");
    });
}

#[test]
fn of_two_who_want_the_last_of_both_one_gets_it_whole() {
    model(|| {
        let (bucket, pool, both) = joined(&MockClock::new());
        let other = both.clone();
        let other = thread::spawn(move || other.try_acquire("db").is_some());
        let own = both.try_acquire("db").is_some();

        let other = other.join().expect("the other thread did not panic");
        assert!(pool.try_acquire("db").is_some(), "both permits have come back");
        assert!(own || other, "one of them came first");
        assert!(!(own && other), "there was quota for one");
        assert!(!bucket.allow("db"));
    });
}
