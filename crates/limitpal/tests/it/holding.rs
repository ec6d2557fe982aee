//! All or nothing with permits: concurrency limiters beside those that count how often.

mod executors;
mod exhaustive;
mod threads;
mod waiting;

use std::time::Duration;

use limitpal::{
    CompositePermit, ConcurrencyLimiter, Cost, HoldingLimiter, MockClock, Rate, RateLimitExceeded,
    RetryAfter, SlidingWindowLog, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<CompositePermit, RateLimitExceeded>;

fn bucket(clock: &MockClock, capacity: u32) -> TokenBucket {
    let rate = Rate::per_second(1.0).unwrap();
    TokenBucket::builder(capacity, rate).clock(clock).build().unwrap()
}

fn pool(clock: &MockClock, limit: u32) -> ConcurrencyLimiter {
    ConcurrencyLimiter::builder(limit).clock(clock).build().unwrap()
}

/// A bucket and a pool, and both as one.
fn both(
    clock: &MockClock,
    burst: u32,
    limit: u32,
) -> (TokenBucket, ConcurrencyLimiter, HoldingLimiter) {
    let (bucket, pool) = (bucket(clock, burst), pool(clock, limit));
    let limiter = HoldingLimiter::new([bucket.clone().into(), pool.clone().into()]).unwrap();
    (bucket, pool, limiter)
}

fn now(limiter: &HoldingLimiter) -> Answer {
    limiter.acquire_timeout_blocking("k", Duration::ZERO)
}

fn after(answer: Answer) -> RetryAfter {
    answer.unwrap_err().retry_after()
}

#[test]
fn a_permit_holds_the_places_and_quota_is_spent() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 5, 2);

    let permits = [limiter.try_acquire("k").unwrap(), now(&limiter).unwrap()];
    assert_eq!((3.0, 2), (bucket.tokens("k"), pool.in_flight("k")));

    permits.into_iter().for_each(CompositePermit::release);
    assert_eq!((3.0, 0), (bucket.tokens("k"), pool.in_flight("k")));
}

#[test]
fn a_refusal_leaves_every_part_as_it_was() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 2, 1);
    let _first = limiter.try_acquire("k").unwrap();

    assert!(limiter.try_acquire("k").is_none(), "the pool is full");
    assert_eq!(RetryAfter::Unknown, after(now(&limiter)));
    assert_eq!((1.0, 1, 0), (bucket.tokens("k"), pool.in_flight("k"), pool.waiting("k")));

    assert!(bucket.allow(("other", Cost::new(2).unwrap())));
    assert!(limiter.try_acquire("other").is_none(), "the bucket is empty");
    assert_eq!(RetryAfter::After(SECOND), after(now_for(&limiter, "other")));
    assert!(!pool.contains("other"), "and the pool has never heard of the key");
}

fn now_for(limiter: &HoldingLimiter, key: &str) -> Answer {
    limiter.acquire_timeout_blocking(key, Duration::ZERO)
}

#[test]
fn a_refusal_tells_the_longest_and_never_is_never() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 5, 7);
    let ask = |cost| ("k", Cost::new(cost).unwrap());
    let refused = |cost| after(limiter.acquire_timeout_blocking(ask(cost), SECOND));

    assert_eq!(RetryAfter::Never, refused(8), "more than either has");
    assert!(bucket.allow(ask(5)));
    assert_eq!(RetryAfter::After(2 * SECOND), refused(2));
    let held = pool.try_acquire(ask(6));
    assert_eq!(RetryAfter::Unknown, refused(2), "both are lacking, and one of them who knows");
    assert_eq!(RetryAfter::Never, refused(6), "more than the bucket ever has");
    drop(held);
    assert_eq!(RetryAfter::After(2 * SECOND), refused(2));
    assert!(!pool.contains("k"));
    assert_eq!(Duration::ZERO, clock.now().saturating_duration_since(limitpal::Instant::ZERO));
}

#[test]
fn several_count_as_their_parts_and_none_may_be_there_twice() {
    let clock = MockClock::new();
    let (_, pool, inner) = both(&clock, 5, 2);
    let log = SlidingWindowLog::builder(1, SECOND).clock(clock.clone()).build().unwrap();
    let outer = HoldingLimiter::new([log.into(), inner.clone()]).unwrap();

    let permit = outer.try_acquire("k").unwrap();
    assert!(!permit.is_empty() && outer.try_acquire("k").is_none() && pool.in_flight("k") == 1);
    assert_eq!((Some(1), Some(6)), (outer.bound(SECOND / 2), inner.bound(SECOND)));
    assert!(outer.clock().same(&clock.clone().into()));

    for twice in [vec![], vec![pool.clone().into(), pool.clone().into()], vec![inner, pool.into()]]
    {
        let error = HoldingLimiter::new(twice).unwrap_err();
        assert_eq!("limiters", error.parameter());
    }
}

#[test]
fn alone_each_kind_is_one_that_holds_what_there_is_to_hold() {
    let clock = MockClock::new();
    let (bucket, pool) = (bucket(&clock, 1), pool(&clock, 1));
    let (quota, held): (HoldingLimiter, HoldingLimiter) = (bucket.into(), pool.clone().into());

    assert!(quota.try_acquire("k").is_some_and(|permit| permit.is_empty()));
    assert!(quota.try_acquire("k").is_none(), "it is spent");
    assert_eq!(RetryAfter::After(SECOND), after(now(&quota)));
    quota.reset("k");
    assert!(now(&quota).is_ok_and(|permit| permit.is_empty()));

    let permit = now(&held).unwrap();
    held.reset_all();
    assert_eq!(RetryAfter::Unknown, after(now(&held)));
    assert_eq!((1, None), (pool.in_flight("k"), held.bound(SECOND)));
    drop(permit);
    assert!(held.try_acquire("k").is_some());
}
