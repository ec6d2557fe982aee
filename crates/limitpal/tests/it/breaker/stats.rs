//! What a circuit breaker counts, against a count from outside.

use std::future::Future;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    BreakerError, BreakerStats, CircuitBreaker, CircuitState, FailureRate, MockClock,
    RateLimitExceeded, RetryAfter,
};
use proptest::prelude::*;

use crate::laws::cases;

#[derive(Clone, Copy, Debug)]
enum Act {
    Succeed,
    Fail,
    Ignore,
    /// Begins a call and drops it.
    Cancel,
    Advance(u16),
    Shadow,
    Enforce,
    Disable,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => Just(Act::Succeed), 6 => Just(Act::Fail), 2 => Just(Act::Ignore),
        2 => Just(Act::Cancel), 4 => (1_u16..9000).prop_map(Act::Advance),
        1 => Just(Act::Shadow), 2 => Just(Act::Enforce), 1 => Just(Act::Disable),
    ];
    proptest::collection::vec(act, 1..80)
}

/// Says what came of a call: none if it was refused.
fn call(breaker: &CircuitBreaker, act: Act) -> Option<()> {
    let refusal = RateLimitExceeded::new(RetryAfter::Never);
    let refused = match act {
        Act::Succeed => breaker.call_blocking(|| Ok::<_, ()>(())).err().map(is_refusal),
        Act::Fail => breaker.call_blocking(|| Err::<(), _>("down")).err().map(is_refusal),
        Act::Ignore => breaker.call_blocking(|| Err::<(), _>(refusal)).err().map(is_refusal),
        _ => {
            let mut call = Box::pin(breaker.call(std::future::pending::<Result<(), ()>>));
            match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => answer.err().map(is_refusal),
                Poll::Pending => None,
            }
        }
    };
    (refused != Some(true)).then_some(())
}

fn is_refusal<E>(error: BreakerError<E>) -> bool {
    matches!(error, BreakerError::CircuitBreakerOpen(_))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn each_call_is_refused_or_one_of_those_that_were_made(
        rate in any::<bool>(), acts in acts(),
    ) {
        let clock = MockClock::new();
        let builder = CircuitBreaker::builder().clock(&clock).count_successes(!rate);
        let builder = match rate {
            true => builder.trip_on(FailureRate::new(0.5).calls(4).minimum_calls(2)),
            false => builder.failure_threshold(2),
        };
        let breaker = builder.build().unwrap();
        let (mut made, mut refused, mut uncounted) = (0, 0, 0);
        for act in acts {
            match act {
                Act::Advance(millis) => clock.advance(Duration::from_millis(millis.into())),
                Act::Shadow => breaker.shadow(),
                Act::Enforce => breaker.enforce(),
                Act::Disable => breaker.disable(),
                _ => {
                    let before = breaker.stats();
                    let is_disabled = before.mode == limitpal::BreakerMode::Disabled;
                    let is_told = matches!(act, Act::Succeed | Act::Fail);
                    match call(&breaker, act) {
                        None => refused += 1,
                        Some(()) if is_disabled && is_told => uncounted += 1,
                        Some(()) => made += 1,
                    }
                }
            }
            let stats = breaker.stats();
            let BreakerStats { failures, ignored, late, .. } = stats;
            let successes = stats.successes.unwrap();
            prop_assert_eq!(refused, stats.refused, "{:?} {:?}", act, stats);
            // In shadow a call that it would refuse is let through, and comes too late to count.
            prop_assert_eq!(made, successes + failures + ignored + late, "{:?} {:?}", act, uncounted);
        }
    }
}

#[test]
fn a_trip_a_refusal_and_a_probe_are_counted() {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(&clock).build().unwrap();
    breaker.record_failure();
    assert!(!breaker.allow() && !breaker.allow());
    clock.advance(Duration::from_secs(5));
    assert_eq!(CircuitState::HalfOpen, breaker.stats().state);
    assert_eq!(Ok(7), breaker.call_blocking(|| Ok::<_, ()>(7)));

    let stats = breaker.stats();
    assert_eq!(
        (CircuitState::Closed, 1, 2, 1),
        (stats.state, stats.trips, stats.refused, stats.probes)
    );
    assert_eq!((1, None), (stats.failures, stats.successes));
    breaker.reset();
    assert_eq!(1, breaker.stats().trips, "what was, stays");
}

#[test]
fn the_calls_of_a_key_that_is_forgotten_stay_in_the_sum() {
    let builder = CircuitBreaker::builder().failure_threshold(1).count_successes(true);
    let breakers = builder.clock(MockClock::new()).build_keyed(Some(2)).unwrap();
    for key in ["a", "b", "c", "d"] {
        breakers.record_success(key);
        breakers.record_failure(key);
        assert!(!breakers.allow(key));
    }

    let stats = breakers.stats();
    assert_eq!((2, 2, 0), (stats.keys, stats.open, stats.half_open));
    assert_eq!((4, 4, 4, Some(4)), (stats.trips, stats.failures, stats.refused, stats.successes));
    let by_key = breakers.stats_by_key();
    assert_eq!(2, by_key.len());
    assert!(by_key.values().all(|stats| stats.trips == 1 && stats.successes == Some(1)));
}
