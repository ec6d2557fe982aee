//! Which errors the breaker hears of: all but those ignored, and refusals of our own.

use std::cell::Cell;
use std::error::Error;

use limitpal::{
    CircuitBreakerOpen, CircuitState, InvalidConfig, MockClock, RateLimitExceeded,
    ResilientExecutor, RetryAfter, RetryPolicy, RunError,
};

use super::{SECOND, WAYS, Way, breaker, half_open, limiter, thrice};

#[test]
fn an_ignored_error_is_neither_but_may_be_retried() {
    for way in WAYS {
        let clock = MockClock::new();
        let (breaker, calls) = (half_open(&clock), Cell::new(0));
        let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
        let builder = builder.retry_policy(thrice()).ignore(|error| *error == "busy");

        let end = way.run(&builder.build().unwrap(), &clock, || {
            calls.set(calls.get() + 1);
            Err::<(), _>("busy")
        });

        assert!(matches!(end, Err(RunError::RetryExhausted(_))), "{end:?}");
        assert_eq!((3, CircuitState::HalfOpen), (calls.get(), breaker.state()));
        assert!(breaker.allow(), "the probe's place is free");
    }
}

#[test]
fn an_error_that_is_not_retried_counts_all_the_same() {
    for way in WAYS {
        let clock = MockClock::new();
        let breaker = breaker(&clock, 1);
        let never = RetryPolicy::builder().retry_if(|_| false).build().unwrap();
        let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
        let executor = builder.retry_policy(never).build().unwrap();

        let run = way.run(&executor, &clock, || Err::<(), _>("not found"));

        assert_eq!(Err(RunError::Failed("not found")), run);
        assert_eq!(CircuitState::Open, breaker.state());
    }
}

/// Runs a function that fails with `error`, and asserts that it came out at once and left no
/// trace.
fn leaves_no_trace<E: 'static>(way: Way, error: impl Fn() -> E) {
    let clock = MockClock::new();
    let (breaker, calls) = (half_open(&clock), Cell::new(0));
    let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
    let executor = builder.retry_policy(RetryPolicy::default()).build().unwrap();

    let run = way.run(&executor, &clock, || {
        calls.set(calls.get() + 1);
        Err::<(), _>(error())
    });

    assert!(matches!(run, Err(RunError::Failed(_))));
    assert_eq!((1, CircuitState::HalfOpen), (calls.get(), breaker.state()));
    assert!(breaker.allow(), "the probe's place is free");
}

#[test]
fn refusals_of_our_own_are_never_retried_and_never_counted() {
    type Boxed = Box<dyn Error + Send + Sync>;
    let limited = || RateLimitExceeded::new(RetryAfter::Never);
    let open = || CircuitBreakerOpen::new(SECOND);
    let invalid = || InvalidConfig::new("cost", 0, "give more");
    for way in WAYS {
        leaves_no_trace(way, limited);
        leaves_no_trace(way, open);
        leaves_no_trace(way, invalid);
        leaves_no_trace(way, || Boxed::from(limited()));
        leaves_no_trace(way, || Boxed::from(open()));
        leaves_no_trace(way, || Boxed::from(invalid()));
    }
}

#[test]
fn an_executor_within_another_leaves_no_trace_when_it_refuses() {
    type Inner = RunError<&'static str>;
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let taken = limiter(&clock);
        assert!(taken.allow("key"));
        let inner = ResilientExecutor::builder().limiter(taken);
        let inner = inner.acquire_timeout(SECOND / 2).build().unwrap();
        let breaker = breaker(&clock, 1);
        let policy = RetryPolicy::builder().retry_if(|error: &Inner| !error.is_refusal());
        let outer = ResilientExecutor::builder().retry_policy(policy.build().unwrap());
        let outer = outer.circuit_breaker(breaker.clone()).ignore(Inner::is_refusal);
        let outer = outer.build().unwrap();

        let run = way.run(&outer, &clock, || {
            calls.set(calls.get() + 1);
            inner.run_blocking("key", || Ok(()))
        });

        assert!(matches!(&run, Err(RunError::Failed(inner)) if inner.is_refusal()), "{run:?}");
        assert_eq!((1, CircuitState::Closed), (calls.get(), breaker.state()));
    }
}

#[test]
fn a_run_error_shows_itself_and_names_its_source() {
    let io = || std::io::Error::other("reset by peer");
    let executor = ResilientExecutor::builder();
    let policy = RetryPolicy::builder().max_attempts(1).build().unwrap();
    let exhausted = executor.retry_policy(policy).build().unwrap();
    let plain = ResilientExecutor::builder().build().unwrap();

    let failed = plain.run_blocking("key", || Err::<(), _>(io())).unwrap_err();
    let exhausted = exhausted.run_blocking("key", || Err::<(), _>(io())).unwrap_err();

    assert_eq!("reset by peer", failed.to_string());
    assert!(failed.source().is_none());
    assert_eq!("gave up after 1 attempt", exhausted.to_string());
    assert_eq!("reset by peer", exhausted.source().unwrap().to_string());
}
