//! Every way to ask a limiter is told of, and so is every kind of limiter.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use limitpal::{
    AnyLimiter, Clock, CompositeLimiter, ConcurrencyLimiter, Cost, FairBucket, HoldingLimiter,
    MockClock, Rate, ResilientExecutor, SharedClock, TokenBucket,
};

use super::{Heard, bucket};
use crate::clock::Counting;

const ZERO: Duration = Duration::ZERO;

/// Polls a future once.
fn poll<T>(future: impl Future<Output = T>) -> bool {
    pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn every_way_to_ask_is_told_of() {
    let limiter = bucket(1, &MockClock::new());
    assert!(limiter.allow("ann"));
    let (heard, _subscription) = Heard::of(&limiter);
    let refused = "refused ann 1 After(1s)";

    assert!(!limiter.allow("ann"));
    assert!(!limiter.check("ann").allowed);
    assert_eq!(vec![false], limiter.allow_many(["ann"]));
    assert!(limiter.acquire_timeout_blocking("ann", ZERO).is_err());
    assert!(poll(limiter.acquire_timeout("ann", ZERO)));
    assert!(poll(limiter.acquire_quota("ann", Some(ZERO))));
    assert!(limiter.acquire_quota_blocking("ann", Some(ZERO)).is_err());
    assert_eq!([refused; 7], *heard.words());

    assert!(!limiter.peek("ann").allowed);
    assert_eq!(Vec::<String>::new(), heard.words(), "who only looks is not refused");
}

#[test]
fn many_at_once_are_decided_at_one_reading_of_the_clock() {
    let rate = Rate::per_second(1.0).unwrap();
    for is_fair in [false, true] {
        let clock = SharedClock::from(Arc::new(Counting::default()) as Arc<dyn Clock>);
        let limiter: AnyLimiter = match is_fair {
            true => FairBucket::builder(9, rate).clock(clock.clone()).build().unwrap().into(),
            false => TokenBucket::builder(9, rate).clock(clock.clone()).build().unwrap().into(),
        };
        let (_heard, _subscription) = Heard::of(&limiter);

        let before = clock.now();
        let answers = limiter.allow_many(["ann", "bob", "ann", "cid"]);

        assert_eq!(vec![true; 4], answers);
        assert_eq!(before + Duration::from_nanos(2), clock.now());
        assert!(limiter.allow_many([] as [&str; 0]).is_empty());
        assert_eq!(before + Duration::from_nanos(3), clock.now(), "nobody asked");
    }
}

#[test]
fn one_who_waits_has_used_what_it_waits_for() {
    let clock = MockClock::new();
    let limiter = bucket(4, &clock);
    let (heard, _subscription) = Heard::of(&limiter);
    let _answers = limiter.allow_many(["ann"; 3]);

    assert!(!poll(limiter.acquire(("ann", Cost::new(2).unwrap()))));

    assert_eq!(["near ann 4 of 4"], *heard.words());
}

#[test]
fn who_owes_does_not_come_up_to_a_share_again() {
    let builder = TokenBucket::builder(10, Rate::per_second(1.0).unwrap()).debt(5);
    let limiter = builder.clock(MockClock::new()).build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);
    let _answers = limiter.allow_many(["ann"; 9]);
    assert_eq!(["near ann 8 of 10"], *heard.words());

    assert!(limiter.allow(("ann", Cost::new(5).unwrap())));

    assert_eq!(Vec::<String>::new(), heard.words());
}

#[test]
fn an_executor_s_calls_on_its_limiter_are_told_of() {
    let limiter = bucket(2, &MockClock::new());
    let executor = ResilientExecutor::builder()
        .limiter(limiter.clone())
        .acquire_timeout(ZERO)
        .build()
        .unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    for _ in 0..3 {
        let _ran = executor.run_blocking("ann", || Ok::<_, ()>(()));
    }

    assert_eq!(["near ann 2 of 2", "refused ann 1 After(1s)"], *heard.words());
}

#[test]
fn a_composite_is_told_of_and_what_it_asks_of_its_parts_is_not() {
    let clock = MockClock::new();
    let (own, all) = (bucket(2, &clock), bucket(10, &clock));
    let limiter = CompositeLimiter::new([own.clone().into(), all.clone().into()]).unwrap();
    let (heard, _subscription) = Heard::of(&limiter);
    let (of_own, _subscription) = Heard::of(&own);
    let (of_all, _subscription) = Heard::of(&all);

    assert_eq!(vec![true, true, false], limiter.allow_many(["ann"; 3]));
    assert!(limiter.acquire_timeout_blocking("ann", ZERO).is_err());
    assert!(poll(limiter.acquire_timeout("ann", ZERO)));

    let refused = "refused ann 1 After(1s)";
    assert_eq!(["near ann 2 of 2", refused, refused, refused], *heard.words());
    assert_eq!((0, 0), (of_own.words().len(), of_all.words().len()));

    assert!(!own.allow("ann"));
    assert_eq!([refused], *of_own.words());
}

#[test]
fn what_holds_is_told_of_too() {
    let clock = MockClock::new();
    let pool = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let limiter =
        HoldingLimiter::new([HoldingLimiter::from(bucket(5, &clock)), pool.into()]).unwrap();
    let heard = Heard::default();
    let _subscription = limiter.observe(heard.clone().listener());

    let _permit = limiter.try_acquire("db").unwrap();
    assert!(limiter.try_acquire("db").is_none());
    assert!(limiter.acquire_timeout_blocking("db", ZERO).is_err());

    assert_eq!(["refused db 1 Unknown"; 2], *heard.words());
}

#[test]
fn shares_of_a_bucket_are_told_of_by_what_is_within_them() {
    let clock = MockClock::new();
    let builder = FairBucket::builder(4, Rate::per_second(1.0).unwrap());
    let limiter = builder.clock(&clock).build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    assert_eq!(vec![true, true, true, true, false], limiter.allow_many(["ann"; 5]));

    let words = heard.words();
    assert!(words.iter().any(|word| word.starts_with("near ann")), "{words:?}");
    assert!(words.last().unwrap().starts_with("refused ann 1"), "{words:?}");
}
