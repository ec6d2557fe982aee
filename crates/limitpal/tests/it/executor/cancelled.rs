//! Runs that end before their time, at each place where a run can wait: nothing is lost.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limitpal::{
    Charge, CircuitBreaker, CircuitState, Clock, Instant, MockClock, Rate, ResilientExecutor,
    RetryPolicy, Sleep, TokenBucket,
};

use super::{SECOND, breaker, half_open, limiter, poll, thrice};

/// Asserts that a half-open circuit heard nothing and has its one place free.
fn untouched(breaker: &CircuitBreaker) {
    assert_eq!(CircuitState::HalfOpen, breaker.state());
    assert!(breaker.allow(), "the probe's place is free");
}

/// Starts a run, drops it where it first waits.
fn cancel<T>(run: impl Future<Output = T>) {
    let mut run = pin!(run);
    assert!(poll(run.as_mut()).is_none(), "the run waits");
}

#[test]
fn cancelled_while_it_waits_for_quota() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let (limiter, breaker) = (limiter(&clock), half_open(&clock));
        assert!(limiter.allow("key"));
        let builder = ResilientExecutor::<()>::builder().limiter(limiter.clone()).charge(charge);
        let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();

        cancel(executor.run("key", || ready(Ok(()))));

        untouched(&breaker);
        clock.advance(SECOND);
        assert_eq!(1.0, limiter.tokens("key"), "its place in the line is free");
    }
}

#[test]
fn cancelled_while_it_waits_between_attempts() {
    let clock = MockClock::new();
    let breaker = half_open(&clock);
    let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
    let executor = builder.retry_policy(thrice()).build().unwrap();
    let calls = Cell::new(0);

    cancel(executor.run("key", || {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>("timed out"))
    }));

    untouched(&breaker);
    clock.advance(10 * SECOND);
    assert_eq!(1, calls.get());
    assert_eq!(None, clock.next_deadline());
}

#[test]
fn cancelled_inside_an_attempt() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let (limiter, breaker) = (limiter(&clock), half_open(&clock));
        let builder = ResilientExecutor::<()>::builder().limiter(limiter.clone()).charge(charge);
        let builder = builder.circuit_breaker(breaker.clone());
        let executor = builder.retry_policy(RetryPolicy::default()).build().unwrap();

        cancel(executor.run("key", pending::<Result<(), ()>>));

        untouched(&breaker);
        assert_eq!(0.0, limiter.tokens("key"), "an attempt that began has spent its quota");
    }
}

#[test]
fn cancelled_in_the_closed_state_it_counts_as_neither() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 2);
    let builder = ResilientExecutor::<()>::builder().circuit_breaker(breaker.clone());
    let executor = builder.build().unwrap();
    breaker.record_failure();

    cancel(executor.run("key", pending::<Result<(), ()>>));

    assert_eq!(CircuitState::Closed, breaker.state());
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state(), "nor did it start the count anew");
}

#[test]
fn a_panic_of_the_users_function_comes_out_and_counts_as_neither() {
    let clock = MockClock::new();
    let (limiter, breaker) = (limiter(&clock), half_open(&clock));
    let builder = ResilientExecutor::<()>::builder().limiter(limiter.clone());
    let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();

    let run = || executor.run_blocking("key", || -> Result<(), ()> { panic!("the user's own") });
    let panicked = catch_unwind(AssertUnwindSafe(run));

    assert_eq!(Some(&"the user's own"), panicked.unwrap_err().downcast_ref());
    untouched(&breaker);
    assert_eq!(0.0, limiter.tokens("key"));
}

#[test]
fn a_panic_of_a_predicate_counts_as_neither() {
    let clock = MockClock::new();
    let breaker = half_open(&clock);
    let policy = RetryPolicy::builder().retry_if(|(): &()| panic!("the user's own"));
    let builder = ResilientExecutor::builder().circuit_breaker(breaker.clone());
    let executor = builder.retry_policy(policy.build().unwrap()).build().unwrap();

    let run = || executor.run_blocking("key", || Err::<(), _>(()));
    assert!(catch_unwind(AssertUnwindSafe(run)).is_err());

    untouched(&breaker);
}

/// A clock that breaks when it is read once too often.
#[derive(Debug)]
struct Fragile(AtomicU32);

impl Clock for Fragile {
    fn now(&self) -> Instant {
        assert_ne!(0, self.0.fetch_sub(1, Ordering::Relaxed), "the clock fell down");
        Instant::ZERO
    }

    fn sleep_blocking(&self, _: Duration) {}

    fn sleep(&self, _: Duration) -> Sleep {
        Box::pin(ready(()))
    }
}

/// The run waited for quota; then the breaker's clock breaks, before any attempt.
#[test]
fn quota_that_no_attempt_has_spent_goes_back_when_a_clock_panics() {
    let clock = MockClock::new();
    let rate = Rate::per_second(1.0).unwrap();
    let limiter = TokenBucket::builder(2, rate).clock(clock.clone()).build().unwrap();
    assert!(limiter.allow("key") && limiter.allow("key"));
    // A closed circuit reads no clock: the one reading is for the failure that opens it.
    let fragile: Arc<dyn Clock> = Arc::new(Fragile(1.into()));
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(fragile).build().unwrap();
    let other = breaker.clone();
    let builder = ResilientExecutor::<()>::builder().limiter(limiter.clone());
    let executor = builder.circuit_breaker(breaker).build().unwrap();

    let mut run = pin!(executor.run("key", || ready(Ok(()))));
    assert!(poll(run.as_mut()).is_none());
    other.record_failure();
    clock.advance(SECOND);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(run.as_mut()))).is_err());

    assert_eq!(1.0, limiter.tokens("key"));
}
