//! Circuit breakers: the three states, and who is admitted in each.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod callbacks;
mod calls;
mod cell;
mod exhaustive;
mod keyed;
mod keyed_snapshot;
mod laws;
mod modes;
mod open_time;
mod probes;
mod ramp;
mod reasons;
mod rules;
mod snapshot;
mod stats;
mod timeouts;

use std::time::Duration;

use limitpal::{BreakerError, CircuitBreaker, CircuitBreakerOpen, CircuitState, MockClock};

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// Returns a breaker that opens at `failures`, for ten seconds, and closes after `successes`.
fn breaker(failures: u32, successes: u32) -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder()
        .failure_threshold(failures)
        .recovery_timeout(10 * SECOND)
        .half_open_success_threshold(successes)
        .clock(clock.clone())
        .build();
    (breaker.unwrap(), clock)
}

/// Returns a breaker that has just half-opened.
fn half_open(successes: u32) -> (CircuitBreaker, MockClock) {
    let (breaker, clock) = breaker(1, successes);
    breaker.record_failure();
    clock.advance(10 * SECOND);
    (breaker, clock)
}

#[test]
fn it_starts_closed_and_admits() {
    let (breaker, _clock) = breaker(3, 1);

    assert_eq!(CircuitState::Closed, breaker.state());
    assert!(breaker.allow());
}

#[test]
fn it_opens_at_the_threshold_and_not_before() {
    let (breaker, _clock) = breaker(3, 1);

    breaker.record_failure();
    breaker.record_failure();
    assert_eq!(CircuitState::Closed, breaker.state());
    assert!(breaker.allow());
    breaker.record_failure();

    assert_eq!(CircuitState::Open, breaker.state());
    assert!(!breaker.allow());
}

#[test]
fn a_success_starts_the_count_of_failures_anew() {
    let (breaker, _clock) = breaker(3, 1);

    for _ in 0..5 {
        breaker.record_failure();
        breaker.record_failure();
        breaker.record_success();
    }

    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.record_failure();
    breaker.record_failure();
    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn an_open_circuit_refuses_until_retry_after_and_admits_at_it() {
    let (breaker, clock) = breaker(1, 1);
    breaker.record_failure();
    clock.advance(3 * SECOND);

    let refusal = CircuitBreakerOpen::new(7 * SECOND);
    assert_eq!(
        Err(BreakerError::CircuitBreakerOpen(refusal)),
        breaker.call_blocking(|| Ok::<_, ()>(())),
    );
    assert_eq!("the circuit is open; it may admit in 7.00s", refusal.to_string());
    clock.advance(7 * SECOND - NANOSECOND);
    assert!(!breaker.allow());
    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(NANOSECOND);

    assert_eq!(CircuitState::HalfOpen, breaker.state());
    assert!(breaker.allow());
}

#[test]
fn the_state_is_a_function_of_time_whoever_asks_first() {
    let (asked, clock) = breaker(1, 1);
    let unasked = asked.clone();
    asked.record_failure();

    clock.advance(10 * SECOND);

    assert_eq!(CircuitState::HalfOpen, asked.state());
    assert_eq!(CircuitState::HalfOpen, unasked.state());
    asked.record_success();
    assert_eq!(CircuitState::Closed, unasked.state());
}

/// The article's own walk: reports alone, without asking.
#[test]
fn reports_without_asking_count_towards_the_present_state() {
    let (breaker, clock) = breaker(3, 2);

    breaker.record_success();
    breaker.record_success();
    for _ in 0..3 {
        breaker.record_failure();
    }
    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(10 * SECOND);
    breaker.record_success();
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn reports_while_it_is_open_are_ignored() {
    let (breaker, clock) = breaker(1, 1);
    breaker.record_failure();
    clock.advance(9 * SECOND);

    breaker.record_success();
    assert_eq!(CircuitState::Open, breaker.state());
    breaker.record_failure();
    clock.advance(SECOND);

    assert_eq!(CircuitState::HalfOpen, breaker.state(), "the failure did not prolong it");
}

#[test]
fn as_many_successes_as_the_threshold_close_it_and_the_count_starts_anew() {
    let (breaker, _clock) = half_open(3);

    for _ in 0..2 {
        assert!(breaker.allow());
        breaker.record_success();
        assert_eq!(CircuitState::HalfOpen, breaker.state());
    }
    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn one_failure_while_half_open_opens_it_for_the_whole_timeout() {
    let (breaker, clock) = half_open(3);
    breaker.record_success();
    breaker.record_success();

    breaker.record_failure();
    clock.advance(10 * SECOND - NANOSECOND);
    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(NANOSECOND);

    breaker.record_success();
    assert_eq!(CircuitState::HalfOpen, breaker.state(), "earlier successes are forgotten");
}

#[test]
fn reset_closes_it_and_forgets_the_count() {
    let (breaker, _clock) = breaker(2, 1);
    breaker.record_failure();
    breaker.record_failure();

    breaker.reset();
    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.record_failure();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn a_clone_shares_the_state() {
    let (breaker, _clock) = breaker(1, 1);
    let clone = breaker.clone();

    clone.record_failure();

    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn the_words_of_the_states_are_those_of_the_articles() {
    let words = [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];

    assert_eq!(
        ["closed", "open", "half_open"],
        words.map(|state| state.to_string()).each_ref()[..]
    );
}

#[test]
fn it_shows_what_it_was_built_of_and_its_state() {
    let (breaker, _clock) = breaker(2, 1);

    let shown = format!("{breaker:?}");

    let settings = "failure_threshold: 2, recovery_timeout: 10s, half_open_success_threshold: 1";
    assert!(shown.starts_with(&format!("CircuitBreaker {{ {settings}, clock: ")), "{shown}");
    assert!(shown.ends_with("state: closed }"), "{shown}");
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |builder: limitpal::CircuitBreakerBuilder| builder.build().unwrap_err();
    let new = CircuitBreaker::builder;

    let advice = "give a whole number of at least 1";
    assert_eq!(
        format!("failure_threshold is 0; {advice}"),
        refused(new().failure_threshold(0)).to_string(),
    );
    assert_eq!(
        format!("half_open_success_threshold is 0; {advice}"),
        refused(new().half_open_success_threshold(0)).to_string(),
    );
    for timeout in [Duration::ZERO, Duration::MAX] {
        assert_eq!("recovery_timeout", refused(new().recovery_timeout(timeout)).parameter());
    }
}
