//! The order of the pipeline: breaker, limiter, attempts, and the breaker again after each wait.

use std::cell::Cell;
use std::time::Duration;

use limitpal::{
    CircuitBreakerOpen, CircuitState, MockClock, Rate, RateLimitExceeded, ResilientExecutor,
    RetryAfter, RunError, StopReason, TokenBucket,
};

use super::{Eventful, SECOND, WAYS, breaker, fails, half_open, limiter, options, thrice};

#[test]
fn without_any_part_it_calls_once() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let executor = ResilientExecutor::builder().build().unwrap();

        assert_eq!(Ok(1), way.run(&executor, &clock, fails(0, &calls)));
        calls.set(0);
        assert_eq!(
            Err(RunError::Failed("timed out")),
            way.run(&executor, &clock, fails(1, &calls)),
        );
        assert_eq!(1, calls.get());
    }
}

#[test]
fn an_open_circuit_takes_no_quota_and_does_not_call() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let (limiter, breaker) = (limiter(&clock), breaker(&clock, 1));
        breaker.record_failure();
        let builder = ResilientExecutor::builder().limiter(limiter.clone());
        let executor = builder.circuit_breaker(breaker).retry_policy(thrice()).build().unwrap();

        let refusal = CircuitBreakerOpen::new(10 * SECOND);
        assert_eq!(
            Err(RunError::CircuitBreakerOpen(refusal)),
            way.run(&executor, &clock, fails(0, &calls)),
        );

        assert_eq!((0, 1.0), (calls.get(), limiter.tokens("key")));
    }
}

#[test]
fn it_waits_for_quota_and_between_attempts() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let limiter = limiter(&clock);
        assert!(limiter.allow("key"));
        let builder = ResilientExecutor::builder().limiter(limiter);
        let executor = builder.retry_policy(thrice()).build().unwrap();

        assert_eq!(Ok(3), way.run(&executor, &clock, fails(2, &calls)));

        assert_eq!(4_000_000_000, clock.now().as_nanos(), "1 for quota, 1 and 2 between attempts");
    }
}

#[test]
fn each_key_has_its_own_quota() {
    let clock = MockClock::new();
    let builder = ResilientExecutor::<()>::builder().limiter(limiter(&clock));
    let executor = builder.acquire_timeout(Duration::ZERO).build().unwrap();

    assert_eq!(Ok(1), executor.run_blocking("ann", || Ok(1)));
    assert_eq!(Ok(2), executor.run_blocking("bob", || Ok(2)));
    assert!(executor.run_blocking("ann", || Ok(3)).is_err());
}

#[test]
fn acquire_timeout_refuses_at_once_and_gives_the_probe_back() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let (limiter, breaker) = (limiter(&clock), half_open(&clock));
        assert!(limiter.allow("key"));
        let builder = ResilientExecutor::builder().limiter(limiter).retry_policy(thrice());
        let builder = builder.circuit_breaker(breaker.clone());
        let executor = builder.acquire_timeout(SECOND - Duration::from_nanos(1)).build().unwrap();
        let start = clock.now();

        let refusal = RateLimitExceeded::new(RetryAfter::After(SECOND));
        assert_eq!(
            Err(RunError::RateLimitExceeded(refusal)),
            way.run(&executor, &clock, fails(0, &calls)),
        );

        assert_eq!((0, start), (calls.get(), clock.now()));
        assert_eq!(CircuitState::HalfOpen, breaker.state());
        assert!(breaker.allow(), "the probe's place is free");
    }
}

#[test]
fn a_circuit_that_opened_and_half_opened_during_the_wait_for_quota_admits_the_run() {
    for way in WAYS {
        let (time, calls) = (MockClock::new(), Cell::new(0));
        let (clock, event) = Eventful::on(&time);
        let rate = Rate::per_second(0.1).unwrap();
        let limiter = TokenBucket::builder(1, rate).clock(clock.clone()).build().unwrap();
        assert!(limiter.allow("key"));
        let breaker = options(1).clock(clock).build().unwrap();
        let opened = breaker.clone();
        *event.lock().unwrap() = Some(Box::new(move || opened.record_failure()));
        let builder = ResilientExecutor::builder().limiter(limiter);
        let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();

        assert_eq!(Ok(1), way.run(&executor, &time, fails(0, &calls)), "{way:?}");

        assert_eq!(CircuitState::Closed, breaker.state(), "it went as a probe");
    }
}

#[test]
fn a_circuit_still_open_after_the_wait_for_quota_stops_the_run_and_quota_goes_back() {
    for way in WAYS {
        let (time, calls) = (MockClock::new(), Cell::new(0));
        let (clock, event) = Eventful::on(&time);
        let rate = Rate::per_second(1.0).unwrap();
        let limiter = TokenBucket::builder(5, rate).clock(clock.clone()).build().unwrap();
        assert!((0..5).all(|_| limiter.allow("key")));
        let breaker = options(1).clock(clock).build().unwrap();
        let opened = breaker.clone();
        *event.lock().unwrap() = Some(Box::new(move || opened.record_failure()));
        let builder = ResilientExecutor::builder().limiter(limiter.clone());
        let executor = builder.circuit_breaker(breaker).retry_policy(thrice()).build().unwrap();

        let refusal = CircuitBreakerOpen::new(9 * SECOND);
        assert_eq!(
            Err(RunError::CircuitBreakerOpen(refusal)),
            way.run(&executor, &time, fails(0, &calls)),
            "{way:?}",
        );

        assert_eq!((0, 1.0), (calls.get(), limiter.tokens("key")), "{way:?}");
    }
}

#[test]
fn a_circuit_opened_between_attempts_ends_the_run_and_keeps_the_error() {
    for way in WAYS {
        let (time, calls) = (MockClock::new(), Cell::new(0));
        let (clock, event) = Eventful::on(&time);
        let breaker = options(1).clock(clock.clone()).build().unwrap();
        let opened = breaker.clone();
        *event.lock().unwrap() = Some(Box::new(move || opened.record_failure()));
        let builder = ResilientExecutor::builder().circuit_breaker(breaker).clock(clock);
        let executor = builder.retry_policy(thrice()).build().unwrap();

        let end = way.run(&executor, &time, fails(9, &calls)).unwrap_err();

        let RunError::RetryExhausted(end) = end else { panic!("{way:?}: {end:?}") };
        assert_eq!((1, "timed out"), (end.attempts, end.last_error));
        assert_eq!(StopReason::CircuitOpen, end.reason);
    }
}

#[test]
fn a_run_whose_permit_is_still_good_goes_on() {
    for way in WAYS {
        let (clock, calls) = (MockClock::new(), Cell::new(0));
        let breaker = half_open(&clock);
        let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
        let executor = builder.retry_policy(thrice()).build().unwrap();

        assert_eq!(Ok(3), way.run(&executor, &clock, fails(2, &calls)));

        assert_eq!(CircuitState::Closed, breaker.state(), "the probe counts when it ends");
    }
}
