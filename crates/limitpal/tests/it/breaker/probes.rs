//! Half-open: how many are out, and what becomes of those that never report.

use limitpal::CircuitState;

use super::{NANOSECOND, SECOND, breaker, half_open};

#[test]
fn at_most_as_many_as_the_threshold_are_out_at_a_time() {
    let (breaker, _clock) = half_open(2);

    assert!(breaker.allow());
    assert!(breaker.allow());
    assert!(!breaker.allow());
    breaker.record_success();

    assert!(breaker.allow(), "the place that came back");
    assert!(!breaker.allow());
}

#[test]
fn a_probe_that_never_reports_lapses_after_the_timeout() {
    let (breaker, clock) = half_open(1);
    assert!(breaker.allow());

    clock.advance(10 * SECOND - NANOSECOND);
    assert!(!breaker.allow());
    clock.advance(NANOSECOND);

    assert!(breaker.allow());
    assert_eq!(CircuitState::HalfOpen, breaker.state());
}

#[test]
fn each_probe_lapses_by_its_own_time_the_oldest_first() {
    let (breaker, clock) = half_open(2);
    assert!(breaker.allow());
    clock.advance(4 * SECOND);
    assert!(breaker.allow());

    clock.advance(6 * SECOND);
    assert!(breaker.allow());
    assert!(!breaker.allow());
    clock.advance(4 * SECOND);

    assert!(breaker.allow());
    assert!(!breaker.allow());
}

#[test]
fn the_late_report_of_a_lapsed_probe_does_not_count() {
    let (breaker, clock) = half_open(1);
    assert!(breaker.allow());
    clock.advance(10 * SECOND);

    breaker.record_failure();
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state(), "only one report was late");
}

#[test]
fn a_report_is_taken_for_a_live_probe_rather_than_a_lapsed_one() {
    let (breaker, clock) = half_open(1);
    assert!(breaker.allow());
    clock.advance(10 * SECOND);
    assert!(breaker.allow());

    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn lapsed_probes_are_forgotten_with_the_state_they_were_lent_in() {
    let (breaker, clock) = half_open(1);
    assert!(breaker.allow());
    clock.advance(10 * SECOND);
    assert!(breaker.allow());
    breaker.record_failure();
    clock.advance(10 * SECOND);

    breaker.record_success();

    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn a_probe_of_half_open_does_not_hold_a_place_once_it_has_closed() {
    let (breaker, _clock) = half_open(1);
    assert!(breaker.allow());

    breaker.record_success();

    assert!((0..100).all(|_| breaker.allow()));
}

#[test]
fn a_closed_circuit_lends_without_end() {
    let (breaker, clock) = breaker(1, 1);

    assert!((0..100).all(|_| breaker.allow()));
    clock.advance(1_000 * SECOND);
    breaker.record_failure();

    assert_eq!(CircuitState::Open, breaker.state(), "a report counts however late");
}
