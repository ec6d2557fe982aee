//! A breaker's memory over a restart: the same answers at the same distances, or refused whole.

use std::time::Duration;

use limitpal::{
    BreakerError, CircuitBreaker, CircuitState, ConsecutiveFailures, FailureRate, Instant,
    MockClock, OpenReason,
};
use proptest::prelude::*;

use super::SECOND;

/// Returns a breaker with every option, on a clock that shows so many seconds.
fn built(seconds: u64) -> (CircuitBreaker, MockClock) {
    let clock = MockClock::new();
    clock.set_time(Instant::ZERO + Duration::from_secs(seconds));
    let breaker = CircuitBreaker::builder()
        .trip_on(ConsecutiveFailures::new(3))
        .trip_on(FailureRate::new(0.5).calls(8).minimum_calls(5))
        .trip_on(FailureRate::new(0.4).window(30 * SECOND).minimum_calls(4))
        .half_open_success_threshold(2)
        .half_open_timeout(7 * SECOND)
        .recovery_backoff(2.0)
        .ramp([0.25, 0.5])
        .ramp_step(3 * SECOND)
        .clock(clock.clone());
    (breaker.build().unwrap(), clock)
}

/// Reports, or waits for so many milliseconds.
fn step(breaker: &CircuitBreaker, clock: &MockClock, what: u8, millis: u64) {
    match what {
        0 => breaker.record_success(),
        1 => breaker.record_failure(),
        2 => drop(breaker.allow()),
        _ => clock.advance(Duration::from_millis(millis)),
    }
}

fn refused_for(breaker: &CircuitBreaker) -> Option<Duration> {
    match breaker.call_blocking(|| Ok::<_, ()>(())) {
        Err(BreakerError::CircuitBreakerOpen(refusal)) => refusal.retry_after(),
        _ => None,
    }
}

#[test]
fn a_refusal_says_after_a_restart_how_the_circuit_stood_before() {
    let (before, clock) = built(100);
    (0..3).for_each(|_| before.record_failure());
    clock.advance(20 * SECOND);
    assert!(before.allow(), "a probe");
    before.record_failure();
    let (after, _clock) = built(0);
    after.restore(&before.snapshot()).unwrap();

    let stood = |breaker: &CircuitBreaker| match breaker.call_blocking(|| Ok::<_, ()>(())) {
        Err(BreakerError::CircuitBreakerOpen(it)) => (it.reason(), it.trips(), it.failures()),
        answer => panic!("{answer:?}"),
    };
    assert_eq!((OpenReason::Open, 2, 3), stood(&before));
    assert_eq!(stood(&before), stood(&after));
}

#[test]
fn a_damaged_snapshot_is_refused_whole_whichever_byte_is_wrong() {
    let (before, clock) = built(100);
    (0..3).for_each(|_| before.record_failure());
    clock.advance(SECOND);
    let good = before.snapshot();
    let (after, _clock) = built(0);
    after.record_failure();

    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x11;
        assert_eq!("snapshot", after.restore(&bad).unwrap_err().parameter());
        assert!(after.restore(&good[..place]).is_err());
    }
    assert_eq!(CircuitState::Closed, after.state());
    after.restore(&good).unwrap();

    assert_eq!(CircuitState::Open, after.state());
    assert_eq!(Some(4 * SECOND), refused_for(&after));
}

#[test]
fn one_of_other_options_or_of_a_limiter_is_refused() {
    let (before, _clock) = built(0);
    let other = CircuitBreaker::builder().build().unwrap();
    let says = |snapshot: &[u8]| other.restore(snapshot).unwrap_err().to_string();

    assert!(says(&before.snapshot()).starts_with("snapshot is of a breaker with other options; "));
    let limiter = limitpal::TokenBucket::new(1, limitpal::Rate::per_second(1.0).unwrap()).unwrap();
    assert!(says(&limiter.snapshot()).starts_with("snapshot is of a limiter; "));
}

#[test]
fn the_mode_goes_along_and_a_call_under_way_does_not_count() {
    let (before, _clock) = built(0);
    before.force_open();
    let (after, _clock) = built(50);

    let answer = after.call_blocking(|| {
        after.restore(&before.snapshot()).unwrap();
        Err::<(), _>(())
    });

    assert_eq!(Err(BreakerError::Failed(())), answer);
    assert_eq!(CircuitState::Open, after.state());
    after.enforce();
    assert_eq!(CircuitState::Closed, after.state());
}

#[test]
fn a_failure_begun_before_the_restore_is_not_counted_after_it() {
    let (fresh, _clock) = built(0);
    let (after, _clock) = built(0);

    let answer = after.call_blocking(|| {
        after.restore(&fresh.snapshot()).unwrap();
        Err::<(), _>(())
    });
    assert_eq!(Err(BreakerError::Failed(())), answer);
    after.record_failure();
    after.record_failure();

    assert_eq!(CircuitState::Closed, after.state(), "two in a row, not three");
}

proptest! {
    /// Whatever happened before, and whatever happens after: a restored breaker answers as the one
    /// that went on, on another clock. Only probes that are out are gone.
    #[test]
    fn a_restored_breaker_goes_on_as_the_one_that_was_not_restarted(
        past in prop::collection::vec((0_u8..6, 0_u64..9_000), 0..60),
        future in prop::collection::vec((0_u8..6, 0_u64..9_000), 0..40),
        elsewhere in 0_u64..1_000_000,
    ) {
        let (before, clock) = built(1_000);
        for (what, millis) in past {
            // Without probes that are out: those end with the process.
            if what != 2 || before.state() != CircuitState::HalfOpen {
                step(&before, &clock, what, millis);
            }
        }
        let (after, other) = built(elsewhere);
        after.restore(&before.snapshot()).unwrap();

        prop_assert_eq!(before.snapshot(), after.snapshot());
        for (what, millis) in future {
            step(&before, &clock, what, millis);
            step(&after, &other, what, millis);
            prop_assert_eq!(before.state(), after.state());
            prop_assert_eq!(before.snapshot(), after.snapshot());
        }
        prop_assert_eq!(refused_for(&before), refused_for(&after));
    }
}
