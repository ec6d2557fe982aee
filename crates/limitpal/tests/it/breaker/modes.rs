//! Run by hand: forced open, disabled, in shadow, and enforced again.

use limitpal::{
    BreakerError, BreakerMode, CircuitBreaker, CircuitBreakerOpen, CircuitState, FailureRate,
};
use proptest::prelude::*;

use super::{SECOND, breaker};

type Call = Result<u32, BreakerError<&'static str>>;

fn call(breaker: &CircuitBreaker, answer: Result<u32, &'static str>) -> Call {
    breaker.call_blocking(|| answer)
}

#[test]
fn it_enforces_at_first() {
    let (breaker, _clock) = breaker(1, 1);

    assert_eq!(BreakerMode::Enforce, breaker.mode());
    assert_eq!("enforce", breaker.mode().to_string());
}

#[test]
fn forced_open_it_refuses_however_long_and_nobody_can_say_until_when() {
    let (breaker, clock) = breaker(1, 1);

    breaker.force_open();
    clock.advance(1_000_000 * SECOND);
    breaker.record_success();

    assert_eq!(CircuitState::Open, breaker.state());
    assert_eq!(BreakerMode::ForcedOpen, breaker.mode());
    let refusal = CircuitBreakerOpen::forced();
    assert_eq!(Err(BreakerError::CircuitBreakerOpen(refusal)), call(&breaker, Ok(7)));
    assert_eq!(None, refusal.retry_after());
    assert_eq!("the circuit was forced open; nobody can say until when", refusal.to_string());
    breaker.reset();
    assert!(!breaker.allow(), "a reset is no change of mode");
    breaker.enforce();
    assert_eq!(Ok(7), call(&breaker, Ok(7)));
}

#[test]
fn disabled_it_lets_all_through_and_counts_nothing() {
    let (breaker, _clock) = breaker(1, 1);
    breaker.record_failure();

    breaker.disable();
    assert_eq!(CircuitState::Closed, breaker.state());
    for _ in 0..10 {
        assert_eq!(Err(BreakerError::Failed("down")), call(&breaker, Err("down")));
        breaker.record_failure();
    }
    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.enforce();

    assert_eq!(CircuitState::Closed, breaker.state(), "it begins closed");
    assert_eq!(Err(BreakerError::Failed("down")), call(&breaker, Err("down")));
    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn a_call_begun_before_a_forced_opening_counts_for_nothing_after_it() {
    let (breaker, _clock) = breaker(1, 1);

    let answer = breaker.call_blocking(|| {
        breaker.force_open();
        breaker.enforce();
        Err::<(), _>("down")
    });

    assert_eq!(Err(BreakerError::Failed("down")), answer);
    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn in_shadow_it_opens_and_half_opens_and_refuses_nobody() {
    let (breaker, clock) = breaker(2, 1);
    breaker.shadow();
    for _ in 0..2 {
        assert!(breaker.allow());
        breaker.record_failure();
    }

    assert_eq!(CircuitState::Open, breaker.state());
    assert_eq!(Ok(7), call(&breaker, Ok(7)));
    assert_eq!(CircuitState::Open, breaker.state(), "what would be refused does not count");
    clock.advance(10 * SECOND);
    assert!(breaker.allow());
    assert!(breaker.allow(), "one too many for half-open");
    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn from_shadow_it_goes_on_in_the_state_it_is_in() {
    let (breaker, clock) = breaker(1, 1);
    breaker.shadow();
    breaker.record_failure();
    clock.advance(4 * SECOND);

    breaker.enforce();

    let refusal = CircuitBreakerOpen::new(6 * SECOND);
    assert_eq!(Err(BreakerError::CircuitBreakerOpen(refusal)), call(&breaker, Ok(7)));
}

#[test]
fn the_report_of_one_who_was_let_through_in_shadow_is_not_taken_for_a_probe() {
    let (breaker, clock) = breaker(1, 2);
    breaker.shadow();
    breaker.record_failure();
    clock.advance(10 * SECOND);
    assert!((0..5).all(|_| breaker.allow()), "two of them are probes");

    (0..2).for_each(|_| breaker.record_success());
    assert_eq!(CircuitState::Closed, breaker.state());
}

/// What can happen, to a breaker that refuses and to its shadow.
#[derive(Clone, Copy, Debug)]
enum Event {
    Call(bool),
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![any::<bool>().prop_map(Event::Call), (0_u64..12_000).prop_map(Event::Advance),]
}

proptest! {
    /// On the same calls a shadow is in the same states as a breaker that refuses, whatever comes
    /// of those that only the shadow lets through.
    #[test]
    fn a_shadow_is_where_the_enforced_breaker_is(
        events in prop::collection::vec(event(), 0..60),
        threshold in 1_u32..4,
        ramp in any::<bool>(),
    ) {
        let clock = limitpal::MockClock::new();
        let build = || {
            let builder = CircuitBreaker::builder()
                .trip_on(limitpal::ConsecutiveFailures::new(threshold))
                .trip_on(FailureRate::new(0.5).calls(8).minimum_calls(5))
                .recovery_backoff(2.0)
                .clock(clock.clone());
            let builder = if ramp { builder.ramp([0.2, 0.5]) } else { builder };
            builder.build().unwrap()
        };
        let (enforced, shadow) = (build(), build());
        shadow.shadow();
        for event in events {
            match event {
                Event::Advance(millis) => clock.advance(std::time::Duration::from_millis(millis)),
                Event::Call(succeeds) => {
                    let answer = if succeeds { Ok(1) } else { Err("down") };
                    drop(call(&enforced, answer));
                    let shadowed = call(&shadow, answer);
                    prop_assert!(!matches!(shadowed, Err(BreakerError::CircuitBreakerOpen(_))));
                }
            }
            prop_assert_eq!(enforced.state(), shadow.state());
        }
    }
}
