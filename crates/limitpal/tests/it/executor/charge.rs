//! What quota and breaker count, and how a run ends.

use std::cell::Cell;
use std::time::Duration;

use limitpal::{
    Charge, CircuitState, MockClock, Rate, ResilientExecutor, RetryPolicy, RunError, StopReason,
    TokenBucket,
};

use super::{SECOND, WAYS, breaker, fails, half_open, limiter, thrice};

/// Returns how many of ten tokens three attempts of a run have taken, and the breaker's state.
fn three_attempts(charge: Charge, failures_open: u32, fail: u32) -> Vec<(u32, CircuitState)> {
    let one = |way: super::Way| {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let rate = Rate::per_second(1e-9).unwrap();
        let limiter = TokenBucket::builder(3, rate).clock(clock.clone()).build().unwrap();
        let breaker = breaker(&clock, failures_open);
        let builder = ResilientExecutor::builder().limiter(limiter.clone()).charge(charge);
        let builder = builder.circuit_breaker(breaker.clone()).retry_policy(thrice());
        let _ = way.run(&builder.build().unwrap(), &clock, fails(fail, &calls));
        assert_eq!(3, calls.get());
        (3 - limiter.peek("key").remaining, breaker.state())
    };
    WAYS.map(one).to_vec()
}

#[test]
fn charge_call_counts_runs() {
    assert_eq!(vec![(1, CircuitState::Closed); 2], three_attempts(Charge::Call, 1, 2));
    assert_eq!(vec![(1, CircuitState::Closed); 2], three_attempts(Charge::Call, 2, 3));
    assert_eq!(vec![(1, CircuitState::Open); 2], three_attempts(Charge::Call, 1, 3));
}

#[test]
fn charge_attempt_counts_attempts() {
    assert_eq!(vec![(3, CircuitState::Closed); 2], three_attempts(Charge::Attempt, 3, 2));
    assert_eq!(vec![(3, CircuitState::Open); 2], three_attempts(Charge::Attempt, 3, 3));
}

#[test]
fn with_charge_attempt_a_run_stops_at_the_circuit_it_has_opened() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let builder = ResilientExecutor::builder().circuit_breaker(breaker(&clock, 2));
        let executor = builder.retry_policy(thrice()).charge(Charge::Attempt).build().unwrap();

        let end = way.run(&executor, &clock, fails(9, &calls)).unwrap_err();

        let RunError::RetryExhausted(end) = end else { panic!("{way:?}: {end:?}") };
        assert_eq!((2, StopReason::CircuitOpen), (end.attempts, end.reason));
        assert_eq!("gave up after 2 attempts; the circuit opened meanwhile", end.to_string());
    }
}

#[test]
fn with_charge_attempt_the_wait_for_quota_is_limited_over_the_whole_run() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let limiter = limiter(&clock);
        assert!(limiter.allow("key"));
        let policy = RetryPolicy::builder().max_attempts(9).base_delay(Duration::ZERO);
        let builder = ResilientExecutor::builder().limiter(limiter.clone());
        let builder = builder.retry_policy(policy.build().unwrap()).charge(Charge::Attempt);
        let executor = builder.acquire_timeout(2 * SECOND).build().unwrap();

        let end = way.run(&executor, &clock, fails(9, &calls)).unwrap_err();

        let RunError::RetryExhausted(end) = end else { panic!("{way:?}: {end:?}") };
        assert_eq!((2, StopReason::RateLimited), (end.attempts, end.reason));
        assert_eq!("timed out", end.last_error);
        assert_eq!("gave up after 2 attempts; no permit in time for another", end.to_string());
        assert_eq!(2_000_000_000, clock.now().as_nanos());
    }
}

#[test]
fn when_attempts_run_out_the_last_error_is_kept() {
    for (way, attempts) in WAYS.into_iter().flat_map(|way| [(way, 1), (way, 3)]) {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let policy = RetryPolicy::builder().max_attempts(attempts).build().unwrap();
        let executor = ResilientExecutor::builder().retry_policy(policy).clock(clock.clone());
        let executor = executor.build().unwrap();

        let end = way.run(&executor, &clock, fails(9, &calls)).unwrap_err();

        let RunError::RetryExhausted(end) = end else { panic!("{way:?}: {end:?}") };
        assert_eq!((attempts, "timed out"), (end.attempts, end.last_error));
        assert_eq!(StopReason::Attempts, end.reason);
        assert_eq!(attempts, calls.get());
    }
}

#[test]
fn an_error_that_is_not_retryable_comes_out_unchanged_on_whichever_attempt() {
    for (way, before) in WAYS.into_iter().flat_map(|way| [(way, 0), (way, 1), (way, 2)]) {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let policy = RetryPolicy::builder().retry_if(|error: &&str| *error == "timed out");
        let builder = ResilientExecutor::builder().retry_policy(policy.build().unwrap());
        let executor = builder.clock(clock.clone()).build().unwrap();
        let mut function = fails(before, &calls);

        let run = way.run(&executor, &clock, || function().and(Err::<(), _>("not found")));

        assert_eq!(Err(RunError::Failed("not found")), run);
        assert_eq!(before + 1, calls.get());
    }
}

#[test]
fn the_delays_of_a_run_are_those_of_its_policy() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let policy = RetryPolicy::builder().max_attempts(4).jitter(0.5).seed(7).build().unwrap();
        let expected: Duration = policy.clone().schedule().sum();
        let builder = ResilientExecutor::builder().retry_policy(policy).clock(clock.clone());

        let _ = way.run(&builder.build().unwrap(), &clock, fails(9, &calls));

        assert_eq!(expected.as_nanos(), clock.now().as_nanos() as u128);
    }
}

#[test]
fn a_failed_run_of_a_probe_opens_the_circuit_again() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let breaker = half_open(&clock);
        let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());

        let _ = way.run(&builder.build().unwrap(), &clock, fails(1, &calls));

        assert_eq!(CircuitState::Open, breaker.state());
    }
}
