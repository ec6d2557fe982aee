//! A fallback: what it answers, what it leaves alone, and that it hides nothing from the policies.

use std::cell::Cell;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    CircuitBreaker, CircuitState, Fallback, MockClock, Rate, ResilientExecutor, RetryPolicy,
    RunError, TokenBucket, TypedExecutor,
};

/// Polls once, as a task that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there was nothing to wait for"),
    }
}

type Answer = Result<u32, RunError<&'static str>>;

/// Runs in both ways.
fn both(executor: &TypedExecutor<u32, &'static str>, answer: Result<u32, &'static str>) -> Answer {
    let blocking = executor.run_blocking("k", || answer);
    assert_eq!(blocking, now(executor.run("k", || ready(answer))));
    blocking
}

/// Breaker, limiter, retries, each of which ends a run in its way.
fn executor(failures: u32) -> (ResilientExecutor<&'static str>, CircuitBreaker, TokenBucket) {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(failures).clock(&clock);
    let breaker = breaker.build().unwrap();
    let bucket = TokenBucket::builder(4, Rate::per_second(0.001).unwrap()).clock(&clock);
    let bucket = bucket.build().unwrap();
    let executor = ResilientExecutor::builder()
        .circuit_breaker(breaker.clone())
        .limiter(bucket.clone())
        .retry_policy(RetryPolicy::builder().base_delay(Duration::ZERO).build().unwrap())
        .acquire_timeout(Duration::ZERO)
        .build();
    (executor.unwrap(), breaker, bucket)
}

#[test]
fn it_answers_errors_exhaustion_and_refusals_alike_and_values_never() {
    let (executor, _, _) = executor(3);
    let executor = executor.with_fallback(Fallback::value(0));

    assert_eq!(Ok(7), both(&executor, Ok(7)));
    assert_eq!(Ok(0), both(&executor, Err("down")), "exhausted");
    assert_eq!(Ok(0), both(&executor, Ok(7)), "no quota");

    let stats = executor.stats();
    assert_eq!((6, 4), (stats.calls, stats.fallbacks));
    assert_eq!((2, 2, 2), (stats.successes, stats.failures, stats.refused_by_limiter));
}

#[test]
fn what_it_does_not_answer_comes_out_as_it_is() {
    let (executor, breaker, _) = executor(1);
    let refused = executor.clone().with_fallback(Fallback::value(0).on(RunError::is_refusal));
    let func = executor.with_fallback(Fallback::func(|error| match error {
        RunError::CircuitBreakerOpen(_) => Ok(1),
        other => Err(other),
    }));

    assert!(matches!(refused.run_blocking("k", || Err("down")), Err(RunError::RetryExhausted(_))));
    assert_eq!(CircuitState::Open, breaker.state(), "the breaker has heard of it all the same");
    assert_eq!(Ok(0), both(&refused, Ok(7)));
    assert_eq!(Ok(1), both(&func, Ok(7)));
    breaker.reset();
    assert!(matches!(func.run_blocking("k", || Err("down")), Err(RunError::RetryExhausted(_))));
    assert_eq!(Ok(1), both(&func, Err("down")));
}

#[test]
fn the_function_gets_the_error_and_is_called_only_for_one() {
    let called = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = called.clone();
    let fallback = Fallback::func(move |error: RunError<&'static str>| {
        heard.lock().unwrap().push(error.clone());
        Err(error)
    });
    let executor = ResilientExecutor::builder().build().unwrap().with_fallback(fallback);

    assert_eq!(Ok(7), both(&executor, Ok(7)));
    assert_eq!(Err(RunError::Failed("down")), both(&executor, Err("down")));

    assert_eq!(vec![RunError::Failed("down"); 2], *called.lock().unwrap());
    assert_eq!(0, executor.stats().fallbacks, "it has answered nothing");
}

#[test]
fn a_panic_and_a_dropped_run_are_no_errors() {
    let called = Cell::new(0);
    let executor = ResilientExecutor::<&str>::builder().build().unwrap();
    let executor = executor.with_fallback(Fallback::value(0));
    let panics = || executor.run_blocking("k", || -> Result<u32, _> { panic!("the user's") });

    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let mut run = Box::pin(executor.run("k", || {
        called.set(called.get() + 1);
        std::future::pending()
    }));
    assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(run);

    let stats = executor.stats();
    assert_eq!((2, 0, 1), (stats.cancelled, stats.fallbacks, called.get()));
}

#[test]
fn the_executor_within_is_shared() {
    let (executor, breaker, bucket) = executor(1);
    let typed = executor.clone().with_fallback(Fallback::value(0));
    let other = executor.clone().with_fallback(Fallback::value("nothing".to_owned()));

    assert_eq!(Ok(0), typed.run_blocking("k", || Err("down")));
    assert_eq!(CircuitState::Open, breaker.state());
    assert_eq!(Ok("nothing".to_owned()), other.run_blocking("k", || Ok("something".to_owned())));
    assert!(executor.run_blocking("k", || Ok(())).is_err());

    assert_eq!((3, 2), (typed.executor().stats().calls, executor.stats().fallbacks));
    assert_eq!(3.0, bucket.tokens("k"));
    assert!(format!("{typed:?}").starts_with("TypedExecutor { executor: ResilientExecutor"));
}
