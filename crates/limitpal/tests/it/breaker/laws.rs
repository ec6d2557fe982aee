//! What holds for every history of a breaker.

use std::time::Duration;

use limitpal::{
    BreakerError, CircuitBreaker, CircuitState, MockClock, RateLimitExceeded, RetryAfter,
};
use proptest::prelude::*;

use super::NANOSECOND;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What can happen to a breaker.
#[derive(Clone, Copy, Debug)]
enum Event {
    Allow,
    Success,
    Failure,
    Call(bool),
    Reset,
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Allow),
        2 => Just(Event::Success),
        4 => Just(Event::Failure),
        3 => any::<bool>().prop_map(Event::Call),
        1 => Just(Event::Reset),
        4 => (0..12_000_000_000_u64).prop_map(Event::Advance),
    ]
}

fn live(breaker: &CircuitBreaker, clock: &MockClock, event: Event) {
    match event {
        Event::Allow => drop(breaker.allow()),
        Event::Success => breaker.record_success(),
        Event::Failure => breaker.record_failure(),
        Event::Call(succeeds) => {
            drop(breaker.call_blocking(|| if succeeds { Ok(()) } else { Err(()) }));
        }
        Event::Reset => breaker.reset(),
        Event::Advance(nanos) => clock.advance(Duration::from_nanos(nanos)),
    }
}

/// Returns for how long a breaker refuses. A call that it admits counts as neither.
fn refused_for(breaker: &CircuitBreaker) -> Option<Duration> {
    let neither = RateLimitExceeded::new(RetryAfter::Never);
    match breaker.call_blocking(|| Err::<(), _>(neither)) {
        Err(BreakerError::CircuitBreakerOpen(refusal)) => refusal.retry_after(),
        answer => {
            assert_eq!(Err(BreakerError::Failed(neither)), answer);
            None
        }
    }
}

proptest! {
    /// From every reachable state time alone leads to one that admits: at `retry_after`, not a
    /// nanosecond before it, and within one timeout.
    #[test]
    fn whoever_is_refused_is_admitted_at_retry_after_and_not_before(
        events in prop::collection::vec(event(), 0..40),
        failures in 1_u32..4,
        successes in 1_u32..4,
    ) {
        let clock = MockClock::new();
        let breaker = CircuitBreaker::builder()
            .failure_threshold(failures)
            .recovery_timeout(TIMEOUT)
            .half_open_success_threshold(successes)
            .clock(clock.clone())
            .build()
            .unwrap();
        for event in events {
            live(&breaker, &clock, event);
        }

        if let Some(wait) = refused_for(&breaker) {
            prop_assert!(wait > Duration::ZERO && wait <= TIMEOUT, "{wait:?}");
            clock.advance(wait - NANOSECOND);
            prop_assert_eq!(Some(NANOSECOND), refused_for(&breaker));
            clock.advance(NANOSECOND);
            prop_assert_eq!(None, refused_for(&breaker));
        }
    }

    /// Only failures open a circuit, and while it is open nothing but time and a reset moves it.
    #[test]
    fn an_open_circuit_stays_open_whatever_is_reported(
        events in prop::collection::vec(event(), 0..20),
    ) {
        let clock = MockClock::new();
        let builder = CircuitBreaker::builder().failure_threshold(1).recovery_timeout(TIMEOUT);
        let breaker = builder.clock(clock.clone()).build().unwrap();
        breaker.record_failure();

        let mut left = TIMEOUT;
        for event in events {
            let is_over = match event {
                Event::Reset => true,
                Event::Advance(nanos) => {
                    left = left.saturating_sub(Duration::from_nanos(nanos));
                    left.is_zero()
                }
                _ => false,
            };
            if is_over {
                break;
            }
            live(&breaker, &clock, event);
            prop_assert_eq!(CircuitState::Open, breaker.state());
            prop_assert_eq!(Some(left), refused_for(&breaker));
        }
    }
}
