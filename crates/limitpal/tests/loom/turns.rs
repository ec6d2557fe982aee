//! The same with the futures that users await: dropped, moved up and woken in several threads.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, MockClock, Quota, Rate, RateLimitExceeded, TokenBucket,
};
use loom::future::block_on;
use loom::thread;

use super::{model, model_within};

type Acquiring = Pin<Box<dyn Future<Output = Result<Quota, RateLimitExceeded>> + Send>>;

/// Makes a limiter of buckets of one permit, and its clock.
fn limiter(clock: &MockClock, per_key: bool) -> AnyLimiter {
    let rate = Rate::per_second(1.0).expect("a good rate");
    let builder = TokenBucket::builder(1, rate).clock(clock.clone()).per_key(per_key);
    builder.build().expect("good settings").into()
}

/// Starts to wait for a permit.
fn acquiring(limiter: &AnyLimiter) -> Acquiring {
    let limiter = limiter.clone();
    let mut acquiring: Acquiring =
        Box::pin(async move { limiter.acquire_quota("key", None).await });
    let polled = acquiring.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "it is empty");
    acquiring
}

fn the_next_goes(per_key: bool) {
    let clock = MockClock::new();
    let limiter = limiter(&clock, per_key);
    assert!(limiter.allow("key"));
    let (first, second) = (acquiring(&limiter), acquiring(&limiter));
    clock.advance(Duration::from_secs(1));

    // Time stands still from here on: the second can go only in the place of the first.
    let second = thread::spawn(|| block_on(second).expect("it waits as long as it takes"));
    drop(first);
    second.join().expect("the other thread did not panic");
    assert!(!limiter.allow("key"));
}

#[test]
fn a_future_goes_in_the_place_of_one_that_was_dropped() {
    model(|| the_next_goes(true));
}

#[test]
fn a_future_goes_in_the_only_line_in_the_place_of_one_that_was_dropped() {
    model(|| the_next_goes(false));
}

#[test]
fn a_future_goes_when_the_clock_says_so() {
    model(|| {
        let clock = MockClock::new();
        let limiter = limiter(&clock, true);
        assert!(limiter.allow("key"));
        let first = acquiring(&limiter);
        let first = thread::spawn(|| block_on(first).expect("it waits as long as it takes"));
        clock.advance(Duration::from_secs(1));

        first.join().expect("the other thread did not panic");
        assert!(!limiter.allow("key"));
    });
}

#[test]
fn a_future_goes_at_once_with_quota_that_is_given_back() {
    model(|| {
        let limiter = limiter(&MockClock::new(), true);
        let quota = block_on(limiter.acquire_quota("key", None)).expect("it is full");
        let first = acquiring(&limiter);
        let first = thread::spawn(|| block_on(first).expect("it waits as long as it takes"));
        limiter.give_back(quota);

        let quota = first.join().expect("the other thread did not panic");
        assert!(!limiter.allow("key"));
        limiter.give_back(quota);
        assert!(limiter.allow("key"), "the permit is still there");
    });
}

#[test]
fn one_who_waits_for_several_limiters_goes_once_all_let_it() {
    model_within(3, || {
        let clock = MockClock::new();
        let parts = [limiter(&clock, true), limiter(&clock, true)];
        let composite = CompositeLimiter::new(parts.clone()).expect("two limiters");
        let quotas = parts.each_ref().map(|part| block_on(part.acquire_quota("key", None)));
        let [one, another] = quotas.map(|quota| quota.expect("it is full"));
        let both = acquiring(&composite);
        let both = thread::spawn(|| block_on(both).expect("it waits as long as it takes"));
        let other = Arc::new(parts[1].clone());
        let giving = thread::spawn(move || other.give_back(another));
        parts[0].give_back(one);

        giving.join().expect("the other thread did not panic");
        both.join().expect("the other thread did not panic");
        assert!(!parts[0].allow("key") && !parts[1].allow("key"));
    });
}
