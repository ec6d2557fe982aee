//! What the public calls say and do when limits change.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AdaptiveLimiter, AnyLimiter, Carry, CompositeLimiter, Cost, FixedWindow, LeakyBucket, Limits,
    MockClock, Rate, RetryAfter, SlidingWindowCounter, SlidingWindowLog, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn rate(count: u32) -> Rate {
    Rate::new(count, SECOND).unwrap()
}

fn tokens(clock: &MockClock, capacity: u32, count: u32) -> TokenBucket {
    TokenBucket::builder(capacity, rate(count)).clock(clock.clone()).build().unwrap()
}

fn all(clock: &MockClock) -> [AnyLimiter; 7] {
    let fixed = FixedWindow::builder(10, SECOND).clock(clock.clone()).build().unwrap();
    let counter = SlidingWindowCounter::builder(10, SECOND).clock(clock.clone());
    let log = SlidingWindowLog::builder(10, SECOND).clock(clock.clone()).build().unwrap();
    let leaky = LeakyBucket::builder(10, rate(2)).clock(clock.clone()).build().unwrap();
    let other = LeakyBucket::builder(10, rate(2)).clock(clock.clone()).build().unwrap();
    let adaptive = AdaptiveLimiter::builder(rate(2)).burst(10).clock(clock.clone());
    let both = CompositeLimiter::new([tokens(clock, 10, 2).into(), other.into()]);
    [
        tokens(clock, 10, 2).into(),
        leaky.into(),
        fixed.into(),
        counter.build().unwrap().into(),
        log.into(),
        adaptive.build().unwrap().into(),
        both.unwrap().into(),
    ]
}

fn remaining(limiter: &AnyLimiter, key: &str) -> u32 {
    limiter.peek(key).remaining
}

#[test]
fn a_penalised_key_is_refused_a_nanosecond_before_and_admitted_at_it() {
    let clock = MockClock::new();
    for limiter in all(&clock) {
        assert!(limiter.allow("k"));
        let wait = Duration::new(7, 3);
        limiter.penalise("k", wait);
        limiter.penalise("k", SECOND);

        let closed = limiter.peek("k");
        assert_eq!(RetryAfter::After(wait), closed.retry_after, "{limiter:?}");
        assert_eq!((false, 0), (closed.allowed, closed.remaining));
        assert!(closed.reset_after >= wait);
        assert_eq!(closed, limiter.check("k"));
        assert!(limiter.allow("another"));
        let refusal = limiter.acquire_timeout_blocking("k", wait - NANO).unwrap_err();
        assert_eq!(RetryAfter::After(wait), refusal.retry_after());

        clock.advance(wait - NANO);
        assert!(!limiter.allow("k"));
        clock.advance(NANO);
        assert!(limiter.peek("k").remaining > 0, "it has refilled meanwhile");
        assert!(limiter.allow("k"), "{limiter:?}");
    }
}

#[test]
fn a_penalty_shortens_no_wait_that_is_there() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 1, 1);
    assert!(limiter.allow("k"));

    limiter.penalise("k", SECOND / 2);
    assert_eq!(RetryAfter::After(SECOND), limiter.peek("k").retry_after);

    limiter.penalise("k", SECOND * 3);
    limiter.reset("k");
    assert!(limiter.allow("k"), "a reset opens a key");
}

#[test]
fn a_penalised_key_outlives_idle_ones_where_room_is_short() {
    let clock = MockClock::new();
    let builder = TokenBucket::builder(1, rate(1)).clock(clock.clone()).ttl(SECOND);
    let limiter = builder.max_buckets(2).build().unwrap();
    limiter.penalise("closed", SECOND * 1000);
    for other in 0..50 {
        clock.advance(SECOND * 2);
        assert!(limiter.allow(&*format!("key {other}")));
        assert!(!limiter.allow("closed"));
    }
    assert_eq!(0, limiter.evicted_live());
    assert_eq!(2, limiter.len());
}

#[test]
fn those_who_wait_are_pushed_back_and_who_would_wait_too_long_is_turned_away() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 1, 1);
    assert!(limiter.allow("k"));
    let mut context = Context::from_waker(Waker::noop());
    let mut patient = pin!(limiter.acquire("k"));
    let mut hasty = pin!(limiter.acquire_timeout("k", SECOND * 3));
    assert!(patient.as_mut().poll(&mut context).is_pending());
    assert!(hasty.as_mut().poll(&mut context).is_pending());

    limiter.penalise("k", SECOND * 5);

    let Poll::Ready(Err(refused)) = hasty.as_mut().poll(&mut context) else {
        panic!("told at once")
    };
    assert_eq!(RetryAfter::After(SECOND * 6), refused.retry_after());
    clock.advance(SECOND * 5 - NANO);
    assert!(patient.as_mut().poll(&mut context).is_pending());
    clock.advance(NANO);
    assert!(patient.as_mut().poll(&mut context).is_ready());
}

#[test]
fn a_cost_that_fits_no_more_is_refused_for_ever() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 5, 1);
    let five = Cost::new(5).unwrap();
    assert!(limiter.allow(("k", five)));
    let mut context = Context::from_waker(Waker::noop());
    let mut large = pin!(limiter.acquire(("k", five)));
    let mut small = pin!(limiter.acquire("k"));
    assert!(large.as_mut().poll(&mut context).is_pending());
    assert!(small.as_mut().poll(&mut context).is_pending());

    limiter.reconfigure().capacity(4).refill_rate(rate(4)).apply().unwrap();

    let Poll::Ready(Err(refused)) = large.as_mut().poll(&mut context) else {
        panic!("told at once")
    };
    assert_eq!(RetryAfter::Never, refused.retry_after());
    clock.advance(SECOND / 4 - NANO);
    assert!(small.as_mut().poll(&mut context).is_pending());
    clock.advance(NANO);
    assert!(small.as_mut().poll(&mut context).is_ready(), "at the new rate");
}

#[test]
fn what_is_there_is_carried_over_as_said() {
    let clock = MockClock::new();
    let cases = [(Carry::Proportional, 15), (Carry::AsIs, 5), (Carry::Reset, 30)];
    for (carry, left) in cases {
        let limiter = tokens(&clock, 10, 1);
        assert_eq!(vec![true; 5], limiter.allow_many(["k"; 5]));
        limiter.reconfigure().capacity(30).refill_rate(rate(3)).carry(carry).apply().unwrap();
        assert_eq!(left, remaining(&limiter, "k"), "{carry:?}");
        assert_eq!(30, remaining(&limiter, "new"));
        assert_eq!((30, rate(3)), (limiter.capacity(), limiter.refill_rate()));
        assert_eq!(33, limiter.bound(SECOND));
    }
    let cases = [(Carry::Proportional, 15), (Carry::AsIs, 5), (Carry::Reset, 0)];
    for (carry, queued) in cases {
        let limiter = LeakyBucket::builder(10, rate(1)).clock(clock.clone()).build().unwrap();
        assert_eq!(vec![true; 5], limiter.allow_many(["k"; 5]));
        limiter.reconfigure().capacity(30).leak_rate(rate(3)).carry(carry).apply().unwrap();
        assert_eq!(queued, limiter.queue_size("k"), "{carry:?}");
    }
    for (carry, left) in [(Carry::Proportional, 25), (Carry::AsIs, 25), (Carry::Reset, 30)] {
        let limiter = SlidingWindowLog::builder(10, SECOND).clock(clock.clone()).build().unwrap();
        assert_eq!(vec![true; 5], limiter.allow_many(["k"; 5]));
        limiter.reconfigure().limit(30).carry(carry).apply().unwrap();
        assert_eq!(left, remaining(&limiter, "k"), "{carry:?}");
        limiter.reconfigure().limit(3).per(SECOND * 2).apply().unwrap();
        assert_eq!((3, SECOND * 2), (limiter.limit(), limiter.per()));
    }
}

#[test]
fn a_third_is_a_third_of_whatever_capacity() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 27, 7);
    assert_eq!(vec![true; 18], limiter.allow_many(["k"; 18]));
    limiter.reconfigure().capacity(3).refill_rate(rate(11)).apply().unwrap();
    assert_eq!(1, remaining(&limiter, "k"));
}

#[test]
fn a_key_of_its_own_keeps_its_limits_until_they_are_taken_away() {
    let clock = MockClock::new();
    let builder = TokenBucket::builder(1, rate(1)).clock(clock.clone()).ttl(SECOND);
    let limiter = builder.max_buckets(3).build().unwrap();
    limiter.configure("gold").capacity(50).carry(Carry::Reset).apply().unwrap();
    assert_eq!((1, 50), (limiter.bound(Duration::ZERO), limiter.bound_of("gold", Duration::ZERO)));

    for round in 0..5 {
        assert_eq!(vec![true; 50], limiter.allow_many(["gold"; 50]), "round {round}");
        assert!(!limiter.allow("gold"));
        clock.advance(SECOND * 100);
        for other in 0..5 {
            assert!(limiter.allow(&*format!("key {other}")));
        }
        assert!(!limiter.contains("gold"), "forgotten, but for its limits");
    }
    limiter.reconfigure().capacity(2).apply().unwrap();
    assert_eq!((2, 50), (remaining(&limiter, "tin"), remaining(&limiter, "gold")));
    limiter.configure("gold").refill_rate(rate(9)).apply().unwrap();
    assert_eq!(59, limiter.bound_of("gold", SECOND));

    limiter.unconfigure("gold", Carry::default());
    assert_eq!(2, remaining(&limiter, "gold"));
}

#[test]
fn nonsense_is_refused_and_leaves_the_old_limits() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 10, 5);
    assert!(limiter.allow("k"));
    let errors = [
        limiter.reconfigure().capacity(0).apply().unwrap_err(),
        limiter.configure("k").capacity(0).apply().unwrap_err(),
        limiter
            .reconfigure()
            .capacity(u32::MAX)
            .refill_rate(Rate::per_second(1e-9).unwrap())
            .apply()
            .unwrap_err(),
    ];
    assert_eq!("capacity", errors[0].parameter());
    assert_eq!("capacity", errors[1].parameter());
    assert_eq!("refill_rate", errors[2].parameter());
    assert_eq!((10, rate(5)), (limiter.capacity(), limiter.refill_rate()));
    assert_eq!(9, remaining(&limiter, "k"));
    let windows = FixedWindow::new(3, SECOND).unwrap();
    assert_eq!("limit", windows.reconfigure().limit(0).apply().unwrap_err().parameter());
    assert_eq!("per", windows.reconfigure().per(Duration::ZERO).apply().unwrap_err().parameter());
}

#[test]
fn a_change_reaches_every_shard_and_the_only_bucket() {
    let clock = MockClock::new();
    let limiter = tokens(&clock, 1, 1);
    let keys: Vec<_> = (0..500).map(|key| format!("key {key}")).collect();
    assert!(keys.iter().all(|key| limiter.allow(key)));
    limiter.reconfigure().capacity(3).carry(Carry::Reset).apply().unwrap();
    for _ in 0..3 {
        assert!(keys.iter().all(|key| limiter.allow(key)));
    }
    assert!(!keys.iter().any(|key| limiter.allow(key)));

    let builder = TokenBucket::builder(1, rate(1)).clock(clock.clone()).per_key(false);
    let only = builder.build().unwrap();
    assert!(only.allow("k"));
    only.penalise("k", SECOND * 2);
    assert_eq!(RetryAfter::After(SECOND * 2), only.peek("other").retry_after);
    clock.advance(SECOND * 2);
    only.reconfigure().capacity(4).apply().unwrap();
    assert_eq!(vec![true, true, true, true, false], only.allow_many(["k"; 5]));
}

#[test]
fn permits_come_back_without_a_quota_to_at_most_what_is_missing() {
    let clock = MockClock::new();
    for limiter in all(&clock) {
        assert_eq!(vec![true; 8], limiter.allow_many(["k"; 8]));
        limiter.give_back(("k", Cost::new(3).unwrap()));
        assert_eq!(5, remaining(&limiter, "k"), "{limiter:?}");
        limiter.give_back(("k", Cost::new(100).unwrap()));
        assert_eq!(10, remaining(&limiter, "k"));
        limiter.give_back("unknown");
        assert_eq!(10, remaining(&limiter, "unknown"));
    }
}

#[test]
fn permits_that_come_back_let_the_first_in_line_go() {
    let clock = MockClock::new();
    for limiter in all(&clock) {
        assert_eq!(vec![true; 10], limiter.allow_many(["k"; 10]));
        let mut context = Context::from_waker(Waker::noop());
        let mut first = pin!(limiter.acquire("k"));
        let mut second = pin!(limiter.acquire("k"));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        limiter.give_back(("k", Cost::new(10).unwrap()));
        assert!(first.as_mut().poll(&mut context).is_ready(), "{limiter:?}");
    }
}

#[test]
fn a_key_is_asked_for_its_quota_once_while_it_is_remembered() {
    let (asked, clock) = (Arc::new(Mutex::new(Vec::new())), MockClock::new());
    let seen = Arc::clone(&asked);
    let builder = TokenBucket::builder(1, rate(1)).clock(clock.clone()).max_buckets(2);
    let gold = Limits::bucket(3, rate(1)).unwrap();
    let ask = move |key: &str| {
        seen.lock().unwrap().push(key.to_owned());
        (key == "gold").then_some(gold)
    };
    let limiter = builder.key_by(|key| key[2..].to_owned()).quota(ask).build().unwrap();

    assert_eq!(vec![true, true, true, false], limiter.allow_many(["1:gold"; 4]));
    assert_eq!(vec![true, false], limiter.allow_many(["1:tin"; 2]));
    assert_eq!(["gold", "tin"].as_slice(), *asked.lock().unwrap());

    clock.advance(SECOND * 10);
    assert!(limiter.allow("2:iron") && limiter.allow("2:zinc"));
    assert!(!limiter.contains("1:gold") || !limiter.contains("1:tin"));
    assert_eq!(vec![true, true, true, false], limiter.allow_many(["1:gold"; 4]));
    let refused = TokenBucket::builder(1, rate(1)).per_key(false).quota(|_| None).build();
    assert_eq!("quota", refused.unwrap_err().parameter());
}
