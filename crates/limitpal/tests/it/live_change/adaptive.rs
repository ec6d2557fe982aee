//! A rate that adapts, and changes while it is in use.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{AdaptiveLimiter, AdaptiveLimiterBuilder, Carry, MockClock, Rate, RetryAfter};

const SECOND: Duration = Duration::from_secs(1);

fn per_second(rate: f64) -> Rate {
    Rate::per_second(rate).unwrap()
}

fn adaptive(clock: &MockClock, rate: f64) -> AdaptiveLimiterBuilder {
    AdaptiveLimiter::builder(per_second(rate)).clock(clock)
}

#[test]
fn a_lower_highest_rate_bounds_what_was_learned_and_a_higher_one_leaves_it() {
    let clock = MockClock::new();
    let limiter = adaptive(&clock, 100.0).build().unwrap();
    for _ in 0..50 {
        assert!(limiter.allow("learned") && limiter.allow("fast"));
        clock.advance(SECOND / 50);
    }
    limiter.record_throttled("learned");
    assert_eq!((35.0, 100.0), (limiter.rate("learned"), limiter.rate("fast")));

    limiter.reconfigure().max_rate(per_second(80.0)).apply().unwrap();
    assert_eq!((35.0, 80.0), (limiter.rate("learned"), limiter.rate("fast")));
    limiter.reconfigure().max_rate(per_second(10.0)).apply().unwrap();
    assert_eq!((10.0, 10.0), (limiter.rate("learned"), limiter.rate("fast")));
    assert_eq!(11, limiter.bound(SECOND));

    limiter.reconfigure().max_rate(per_second(200.0)).apply().unwrap();
    assert_eq!((10.0, 200.0), (limiter.rate("learned"), limiter.rate("fast")));
    limiter.reconfigure().carry(Carry::Reset).apply().unwrap();
    assert_eq!(200.0, limiter.rate("learned"), "forgotten");
}

#[test]
fn the_lowest_rate_comes_down_with_the_highest() {
    let limiter = adaptive(&MockClock::new(), 100.0).min_rate(per_second(20.0)).build().unwrap();

    limiter.reconfigure().max_rate(per_second(5.0)).apply().unwrap();
    assert_eq!((per_second(5.0), per_second(5.0)), (limiter.min_rate(), limiter.max_rate()));

    let refused = limiter.reconfigure().burst(0).max_rate(per_second(50.0)).apply().unwrap_err();
    assert_eq!("burst", refused.parameter());
    assert_eq!(per_second(5.0), limiter.max_rate(), "all is as it was");
}

#[test]
fn a_burst_is_carried_over_as_said() {
    let cases = [(Carry::Proportional, 15), (Carry::AsIs, 5), (Carry::Reset, 30)];
    for (carry, left) in cases {
        let limiter = adaptive(&MockClock::new(), 1.0).burst(10).build().unwrap();
        assert_eq!(vec![true; 5], limiter.allow_many(["k"; 5]));

        limiter.reconfigure().burst(30).carry(carry).apply().unwrap();

        assert_eq!(left, limiter.peek("k").remaining, "{carry:?}");
        assert_eq!(30, limiter.burst());
    }
}

#[test]
fn a_key_has_a_highest_rate_of_its_own_and_learns_within_it() {
    let clock = MockClock::new();
    let limiter = adaptive(&clock, 10.0).build().unwrap();
    limiter.configure("gold").max_rate(per_second(100.0)).apply().unwrap();
    assert_eq!((10.0, 100.0), (limiter.rate("tin"), limiter.rate("gold")));

    for _ in 0..100 {
        clock.advance(SECOND / 50);
        assert!(limiter.allow("gold"));
    }
    limiter.record_throttled("gold");
    assert_eq!(35.0, limiter.rate("gold").round());

    limiter.unconfigure("gold", Carry::default());
    assert_eq!(10.0, limiter.rate("gold"));
}

#[test]
fn who_waits_too_long_once_the_rate_has_fallen_is_turned_away_at_once() {
    let clock = MockClock::new();
    let limiter = adaptive(&clock, 1.0).build().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    assert!(limiter.allow("k"));
    let mut patient = pin!(limiter.acquire("k"));
    let mut hasty = pin!(limiter.acquire_timeout("k", SECOND * 2));
    assert!(patient.as_mut().poll(&mut context).is_pending());
    assert!(hasty.as_mut().poll(&mut context).is_pending());

    limiter.record_throttled("k");

    assert!(limiter.rate("k") < 1.0);
    let Poll::Ready(Err(refused)) = hasty.as_mut().poll(&mut context) else {
        panic!("told at once")
    };
    let RetryAfter::After(wait) = refused.retry_after() else { panic!("it can be known") };
    assert!(wait > SECOND * 2, "{wait:?}");
    clock.advance(wait);
    assert!(patient.as_mut().poll(&mut context).is_ready());
}
