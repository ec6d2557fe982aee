//! After recovery: a growing share of the calls, counted, and what opens the circuit meanwhile.

use std::time::Duration;

use limitpal::{
    BreakerError, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerOpen, CircuitState,
    FailureRate, MockClock, RateLimitExceeded, RetryAfter,
};
use proptest::prelude::*;

use super::{NANOSECOND, SECOND};

fn ramping(shares: &[f64]) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .trip_on(FailureRate::new(0.5).calls(10).minimum_calls(2))
        .ramp(shares)
        .ramp_step(10 * SECOND)
}

/// Returns a breaker that has just begun its ramp.
fn recovered(builder: CircuitBreakerBuilder) -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    let breaker = builder.clock(clock.clone()).build().unwrap();
    breaker.record_failure();
    breaker.record_failure();
    clock.advance(5 * SECOND);
    breaker.record_success();
    (breaker, clock)
}

fn admitted(breaker: &CircuitBreaker, of: usize) -> usize {
    (0..of).filter(|_| breaker.allow()).count()
}

#[test]
fn each_step_admits_its_share_and_the_end_all() {
    let (breaker, clock) = recovered(ramping(&[0.05, 0.1, 0.25, 0.5]));

    for share in [5, 10, 25, 50] {
        assert_eq!(CircuitState::HalfOpen, breaker.state());
        assert_eq!(share, admitted(&breaker, 100));
        clock.advance(10 * SECOND - NANOSECOND);
        assert_eq!(share, admitted(&breaker, 100), "to the end of the step");
        clock.advance(NANOSECOND);
    }

    assert_eq!(CircuitState::Closed, breaker.state());
    assert_eq!(100, admitted(&breaker, 100));
}

#[test]
fn the_first_call_is_admitted_and_then_every_so_many_th() {
    let (breaker, _clock) = recovered(ramping(&[0.25]));

    let went: Vec<bool> = (0..9).map(|_| breaker.allow()).collect();

    let [yes, no] = [true, false];
    assert_eq!(vec![yes, no, no, no, yes, no, no, no, yes], went);
}

#[test]
fn a_trip_on_the_ramp_opens_it_again_and_the_ramp_begins_anew() {
    let (breaker, clock) = recovered(ramping(&[0.05, 0.5]));
    clock.advance(10 * SECOND);
    breaker.record_failure();
    assert_eq!(CircuitState::HalfOpen, breaker.state(), "one call is below the minimum");
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state());

    clock.advance(5 * SECOND);
    breaker.record_success();

    assert_eq!(5, admitted(&breaker, 100));
}

#[test]
fn a_call_of_the_ramp_that_ends_after_it_counts() {
    let (breaker, clock) = recovered(ramping(&[0.5]));
    let answer = breaker.call_blocking(|| {
        clock.advance(10 * SECOND);
        assert_eq!(CircuitState::Closed, breaker.state());
        Err::<(), _>("down")
    });
    assert_eq!(Err(BreakerError::Failed("down")), answer);

    breaker.record_failure();

    assert_eq!(CircuitState::Open, breaker.state(), "two of two");
}

#[test]
fn whoever_is_refused_is_told_when_all_are_admitted() {
    let (breaker, clock) = recovered(ramping(&[0.05, 0.5]));
    assert!(breaker.allow());
    clock.advance(4 * SECOND);

    let refusal = CircuitBreakerOpen::new(16 * SECOND);
    assert_eq!(
        Err(BreakerError::CircuitBreakerOpen(refusal)),
        breaker.call_blocking(|| Ok::<_, ()>(())),
    );
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |builder: CircuitBreakerBuilder| builder.build().unwrap_err().parameter();
    let bad: [&[f64]; 7] =
        [&[0.0], &[1.0], &[-0.5], &[f64::NAN], &[0.5, 0.25], &[0.5, 0.5], &[1e-7]];

    for shares in bad {
        assert_eq!("ramp", refused(ramping(shares)), "{shares:?}");
    }
    assert_eq!("ramp_step", refused(ramping(&[0.5]).ramp_step(Duration::ZERO)));
    assert_eq!("ramp_step", refused(ramping(&[])), "a step of nothing");
}

proptest! {
    /// Of those who ask in one step its share is admitted, give or take one.
    #[test]
    fn the_share_is_kept_to_one_call(
        share in 0.001_f64..0.999,
        calls in 1_usize..2_000,
    ) {
        let (breaker, _clock) = recovered(ramping(&[share]));

        let went = admitted(&breaker, calls) as f64;

        let exact = share * calls as f64;
        prop_assert!(went - exact < 1.0 + 1e-3 * exact && exact - went < 1.0 + 1e-3 * exact);
    }

    /// Calls that count as neither leave the ramp as it is.
    #[test]
    fn time_alone_leads_to_the_end_of_the_ramp(calls in 0_usize..50, millis in 0_u64..20_000) {
        let (breaker, clock) = recovered(ramping(&[0.1, 0.2]));
        let neither = RateLimitExceeded::new(RetryAfter::Never);
        for _ in 0..calls {
            drop(breaker.call_blocking(|| Err::<(), _>(neither)));
        }
        clock.advance(Duration::from_millis(millis));
        let before = if millis < 20_000 { CircuitState::HalfOpen } else { CircuitState::Closed };
        prop_assert_eq!(before, breaker.state());

        clock.advance(Duration::from_millis(20_000 - millis));
        prop_assert_eq!(CircuitState::Closed, breaker.state());
    }
}
