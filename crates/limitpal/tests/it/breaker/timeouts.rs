//! The longest time in half-open.

use limitpal::{BreakerError, CircuitBreaker, CircuitBreakerOpen, CircuitState, MockClock};

use super::{NANOSECOND, SECOND};

/// Returns a breaker that has just half-opened: 10 s open, 3 s half-open, 2 successes.
fn half_open() -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder()
        .failure_threshold(1)
        .recovery_timeout(10 * SECOND)
        .half_open_success_threshold(2)
        .half_open_timeout(3 * SECOND)
        .recovery_backoff(2.0)
        .clock(clock.clone())
        .build()
        .unwrap();
    breaker.record_failure();
    clock.advance(10 * SECOND);
    (breaker, clock)
}

#[test]
fn it_opens_again_that_long_after_its_first_call() {
    let (breaker, clock) = half_open();
    clock.advance(100 * SECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state(), "nobody was let out yet");
    assert!(breaker.allow());

    clock.advance(SECOND);
    breaker.record_success();
    clock.advance(2 * SECOND - NANOSECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    clock.advance(NANOSECOND);

    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(20 * SECOND - NANOSECOND);
    assert_eq!(CircuitState::Open, breaker.state(), "for the time of a second trip");
    clock.advance(NANOSECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state());
}

#[test]
fn it_is_open_from_that_instant_on_whoever_asks_later() {
    let (breaker, clock) = half_open();
    assert!(breaker.allow());

    clock.advance(23 * SECOND - NANOSECOND);
    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(NANOSECOND);

    assert_eq!(CircuitState::HalfOpen, breaker.state());
    clock.advance(1_000 * SECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state(), "and waits for a first call again");
}

#[test]
fn enough_successes_in_time_close_it() {
    let (breaker, clock) = half_open();
    assert!(breaker.allow());
    breaker.record_success();
    clock.advance(3 * SECOND - NANOSECOND);
    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
    clock.advance(100 * SECOND);
    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn whoever_is_refused_while_it_is_half_open_is_told_when_it_admits_even_so() {
    let (breaker, clock) = half_open();
    assert!(breaker.allow() && breaker.allow());
    clock.advance(SECOND);

    // In 2 s it opens again, for 20 s.
    let refusal = CircuitBreakerOpen::new(22 * SECOND);
    assert_eq!(
        Err(BreakerError::CircuitBreakerOpen(refusal)),
        breaker.call_blocking(|| Ok::<_, ()>(())),
    );
    clock.advance(22 * SECOND - NANOSECOND);
    assert!(!breaker.allow());
    clock.advance(NANOSECOND);

    assert!(breaker.allow());
}

#[test]
fn a_hung_probe_holds_a_half_open_circuit_no_longer_than_its_lease_or_the_timeout() {
    let (breaker, clock) = half_open();
    assert!(breaker.allow() && breaker.allow());
    clock.advance(3 * SECOND);
    breaker.record_success();
    breaker.record_success();

    assert_eq!(CircuitState::Open, breaker.state(), "both reports are of an earlier state");
}
