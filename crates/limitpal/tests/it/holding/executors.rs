//! Permits in executors: held while the run lasts, or an attempt; back however it ends.

use std::cell::Cell;
use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    Charge, CircuitBreaker, CircuitState, ConcurrencyLimiter, HoldingLimiter, MockClock,
    ResilientExecutor, RetryAfter, RetryPolicy, RunError,
};

use super::{SECOND, both, pool};

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn executor(limiter: impl Into<HoldingLimiter>, charge: Charge) -> ResilientExecutor<&'static str> {
    let policy = RetryPolicy::builder().max_attempts(2).base_delay(SECOND).build().unwrap();
    let builder = ResilientExecutor::builder().limiter(limiter).retry_policy(policy);
    builder.charge(charge).build().unwrap()
}

/// Fails once, and says how many permits are out at each attempt.
fn second_time_lucky<'a>(
    pool: &'a ConcurrencyLimiter,
    seen: &'a Cell<Vec<u32>>,
) -> impl FnMut() -> Result<(), &'static str> + 'a {
    move || {
        let mut all = seen.take();
        all.push(pool.in_flight("k"));
        let is_first = all.len() == 1;
        seen.set(all);
        if is_first { Err("once more") } else { Ok(()) }
    }
}

#[test]
fn by_runs_a_permit_is_held_between_attempts_and_by_attempts_it_is_not() {
    for (charge, between) in [(Charge::Call, 1), (Charge::Attempt, 0)] {
        let clock = MockClock::new();
        let (bucket, pool, limiter) = both(&clock, 5, 2);
        let executor = executor(limiter, charge);
        let seen = Cell::default();
        let mut function = second_time_lucky(&pool, &seen);
        let mut run = pin!(executor.run("k", || ready(function())));

        assert!(poll(run.as_mut()).is_none());
        assert_eq!(between, pool.in_flight("k"), "{charge}: it sleeps between two attempts");
        clock.advance(SECOND);
        poll(run.as_mut()).unwrap().unwrap();

        assert_eq!((vec![1, 1], 0), (seen.take(), pool.in_flight("k")));
        let left = if charge == Charge::Call { 5.0 } else { 4.0 };
        assert_eq!(left, bucket.tokens("k"), "a second has given one back");
    }
}

#[test]
fn a_thread_gives_back_on_success_error_and_panic() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let pool = pool(&clock, 1);
        let executor = executor(pool.clone(), charge);
        let seen = Cell::default();

        executor.run_blocking("k", second_time_lucky(&pool, &seen)).unwrap();
        assert_eq!((vec![1, 1], 0), (seen.take(), pool.in_flight("k")), "{charge}");
        executor.run_blocking("k", || Err::<(), _>("always")).unwrap_err();
        assert!(pool.is_empty());
        let panics = || executor.run_blocking("k", || -> Result<(), _> { panic!("the user's") });
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(pool.is_empty());
    }
}

#[test]
fn a_run_that_is_dropped_gives_back_wherever_it_is() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let (bucket, pool, limiter) = both(&clock, 5, 1);
        let executor = executor(limiter, charge);
        {
            let mut inside = pin!(executor.run("k", pending::<Result<(), &str>>));
            assert!(poll(inside.as_mut()).is_none());
            assert_eq!(1, pool.in_flight("k"));
            let mut waits = Box::pin(executor.run("k", || ready(Ok(()))));
            assert!(poll(waits.as_mut()).is_none());
            assert_eq!((1, 4.0), (pool.waiting("k"), bucket.tokens("k")));
            drop(waits);
            assert_eq!(0, pool.waiting("k"));
        }
        let mut sleeps = Box::pin(executor.run("k", || ready(Err::<(), _>("once"))));
        assert!(poll(sleeps.as_mut()).is_none());
        drop(sleeps);
        assert!(pool.is_empty(), "{charge}");
    }
}

#[test]
fn without_a_permit_in_time_the_function_is_not_called() {
    let clock = MockClock::new();
    let pool = pool(&clock, 1);
    let builder = ResilientExecutor::<()>::builder().limiter(pool.clone());
    let executor = builder.acquire_timeout(2 * SECOND).build().unwrap();
    let _held = pool.try_acquire("k");

    let mut run = pin!(
        executor.run("k", || -> std::future::Ready<Result<(), ()>> { panic!("it was called") })
    );
    assert!(poll(run.as_mut()).is_none());
    clock.advance(2 * SECOND);
    let Some(Err(RunError::RateLimitExceeded(refusal))) = poll(run.as_mut()) else {
        panic!("its time is over")
    };

    assert_eq!(RetryAfter::Unknown, refusal.retry_after());
    assert_eq!((1, 0), (pool.in_flight("k"), pool.waiting("k")));
}

/// The permit came after a wait, and meanwhile others have opened the circuit.
#[test]
fn a_run_that_the_breaker_stops_gives_back_what_it_waited_for() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 2, 1);
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone());
    let breaker = breaker.build().unwrap();
    let builder = ResilientExecutor::<()>::builder().limiter(limiter);
    let executor = builder.circuit_breaker(breaker.clone()).build().unwrap();
    let held = pool.try_acquire("k");
    let mut run = pin!(executor.run("k", || ready(Ok(()))));
    assert!(poll(run.as_mut()).is_none());

    clock.advance(Duration::from_millis(1));
    breaker.record_failure();
    assert_eq!(CircuitState::Open, breaker.state());
    drop(held);
    let stopped = poll(run.as_mut()).expect("there is a permit").unwrap_err();

    assert!(matches!(stopped, RunError::CircuitBreakerOpen(_)), "{stopped:?}");
    assert!(pool.is_empty());
    assert_eq!(2.0, bucket.tokens("k"));
}
