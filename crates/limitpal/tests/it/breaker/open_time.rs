//! How long a circuit stays open: longer each time, up to a cap, and the first time again once it
//! has recovered.

use std::time::Duration;

use limitpal::{CircuitBreaker, CircuitBreakerBuilder, CircuitState, MockClock};
use proptest::prelude::*;

use super::{NANOSECOND, SECOND};

fn growing() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().failure_threshold(1).recovery_timeout(SECOND).recovery_backoff(2.0)
}

fn built(builder: CircuitBreakerBuilder) -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    (builder.clock(clock.clone()).build().unwrap(), clock)
}

/// Trips it and returns how long it is open then.
fn trip(breaker: &CircuitBreaker, clock: &MockClock) -> Duration {
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state());
    let refusal = breaker.call_blocking(|| Ok::<_, ()>(())).unwrap_err();
    let limitpal::BreakerError::CircuitBreakerOpen(refusal) = refusal else {
        panic!("{refusal:?}")
    };
    let span = refusal.retry_after().unwrap();
    clock.advance(span - NANOSECOND);
    assert_eq!(CircuitState::Open, breaker.state());
    clock.advance(NANOSECOND);
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    span
}

#[test]
fn it_grows_with_each_trip_up_to_the_cap() {
    let (breaker, clock) = built(growing().max_recovery_timeout(6 * SECOND));

    let spans: Vec<_> = (0..5).map(|_| trip(&breaker, &clock).as_secs()).collect();

    assert_eq!(vec![1, 2, 4, 6, 6], spans);
}

#[test]
fn it_is_the_first_one_again_after_a_recovery_or_a_reset() {
    let (breaker, clock) = built(growing());
    trip(&breaker, &clock);
    assert_eq!(2 * SECOND, trip(&breaker, &clock));
    breaker.record_success();
    assert_eq!(SECOND, trip(&breaker, &clock));
    assert_eq!(2 * SECOND, trip(&breaker, &clock));

    breaker.reset();

    assert_eq!(SECOND, trip(&breaker, &clock));
}

#[test]
fn it_is_not_the_first_one_again_before_the_ramp_is_over() {
    let (breaker, clock) = built(growing().ramp([0.5]).ramp_step(10 * SECOND));
    trip(&breaker, &clock);
    breaker.record_success();
    clock.advance(10 * SECOND - NANOSECOND);

    assert_eq!(2 * SECOND, trip(&breaker, &clock));
    breaker.record_success();
    clock.advance(10 * SECOND);

    assert_eq!(SECOND, trip(&breaker, &clock));
}

#[test]
fn without_a_backoff_it_is_always_the_same() {
    let (breaker, clock) = built(growing().recovery_backoff(1.0));

    assert!((0..5).all(|_| trip(&breaker, &clock) == SECOND));
}

#[test]
fn a_seed_repeats_the_jitter_and_another_seed_does_not() {
    let spans = |seed| {
        let (breaker, clock) = built(growing().recovery_jitter(0.5).seed(seed));
        (0..6).map(|_| trip(&breaker, &clock)).collect::<Vec<_>>()
    };

    assert_eq!(spans(7), spans(7));
    assert_ne!(spans(7), spans(8));
}

#[test]
fn the_time_is_not_longer_than_a_minute_where_nobody_says() {
    let (breaker, clock) = built(growing());
    (0..10).for_each(|_| assert!(trip(&breaker, &clock) <= 60 * SECOND));
    assert_eq!(60 * SECOND, trip(&breaker, &clock));

    let (breaker, clock) = built(growing().recovery_timeout(90 * SECOND));
    trip(&breaker, &clock);
    assert_eq!(90 * SECOND, trip(&breaker, &clock), "unless the first one is");
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |builder: CircuitBreakerBuilder| builder.build().unwrap_err().parameter();

    for backoff in [0.9, f64::NAN, f64::INFINITY] {
        assert_eq!("recovery_backoff", refused(growing().recovery_backoff(backoff)));
    }
    for jitter in [-0.1, 1.1, f64::NAN] {
        assert_eq!("recovery_jitter", refused(growing().recovery_jitter(jitter)));
    }
    for most in [SECOND - NANOSECOND, Duration::ZERO, Duration::MAX] {
        assert_eq!("max_recovery_timeout", refused(growing().max_recovery_timeout(most)));
    }
}

proptest! {
    #[test]
    fn the_n_th_time_is_the_formula_and_jitter_strays_no_further(
        base in 1_u64..100_000_000_000,
        more in 0_u64..100_000_000_000,
        factor in prop_oneof![1.0..4.0, 1.0..1e308],
        jitter in 0.0..=1.0,
        seed in any::<u64>(),
    ) {
        let cap = Duration::from_nanos(base + more);
        let builder = growing()
            .recovery_timeout(Duration::from_nanos(base))
            .recovery_backoff(factor)
            .max_recovery_timeout(cap);
        let (plain, clock) = built(builder.clone());
        let (jittered, own) = built(builder.recovery_jitter(jitter).seed(seed));
        for n in 0..8 {
            let span = trip(&plain, &clock);
            let exact = (base as f64 * factor.powi(n)).min(cap.as_nanos() as f64);
            prop_assert!((span.as_nanos() as f64 - exact).abs() <= 1.0 + exact * 1e-12);
            let strayed = trip(&jittered, &own);
            prop_assert!(strayed <= cap && strayed > Duration::ZERO);
            let (low, high) = (exact * (1.0 - jitter), exact * (1.0 + jitter));
            let nanos = strayed.as_nanos() as f64;
            prop_assert!(nanos >= low * (1.0 - 1e-12) - 1.0 && nanos <= high * (1.0 + 1e-12) + 1.0);
        }
    }
}
