//! What an executor is built of: optional parts, one clock, cheap to share between threads.

use std::time::Duration;

use limitpal::{
    AnyLimiter, Charge, MockClock, ResilientExecutor, RetryPolicy, RunError, SharedClock,
};

use super::{SECOND, Way, breaker, fails, limiter, thrice};

/// Returns how far the clock went during a run that failed once.
fn slept(executor: &ResilientExecutor<&'static str>, clock: &MockClock) -> Duration {
    let start = clock.now();
    let answer = executor.run_blocking("key", fails(1, &0.into()));
    assert_eq!(Ok(2), answer);
    clock.now().saturating_duration_since(start)
}

/// As `thrice`, with a delay that real time notices little.
fn soon() -> RetryPolicy<&'static str> {
    RetryPolicy::builder().base_delay(Duration::from_millis(1)).build().unwrap()
}

#[test]
fn without_a_clock_it_takes_the_one_its_parts_share() {
    let clock = MockClock::new();
    let new = ResilientExecutor::builder;

    let by_breaker = new().circuit_breaker(breaker(&clock, 9)).retry_policy(thrice());
    let by_limiter = new().limiter(limiter(&clock)).retry_policy(thrice());
    let by_both = new().circuit_breaker(breaker(&clock, 9)).limiter(limiter(&clock));
    let by_both = by_both.retry_policy(thrice());

    for builder in [by_breaker, by_limiter, by_both] {
        assert_eq!(SECOND, slept(&builder.build().unwrap(), &clock));
    }
}

#[test]
fn where_its_parts_share_no_clock_it_takes_real_time() {
    let (clock, other) = (MockClock::new(), MockClock::new());
    let builder = ResilientExecutor::builder().circuit_breaker(breaker(&other, 9));
    let mixed = builder.limiter(limiter(&clock)).retry_policy(soon()).build().unwrap();
    let alone = ResilientExecutor::builder().retry_policy(soon()).build().unwrap();

    for executor in [mixed, alone] {
        let start = SharedClock::default().now();
        assert_eq!(Duration::ZERO, slept(&executor, &clock));
        let real = SharedClock::default().now().saturating_duration_since(start);
        assert!(real >= Duration::from_millis(1), "{real:?}");
    }
}

#[test]
fn a_clock_that_was_given_sleeps_between_attempts() {
    let (given, other) = (MockClock::new(), MockClock::new());
    let builder = ResilientExecutor::builder().circuit_breaker(breaker(&other, 9));
    let executor = builder.retry_policy(thrice()).clock(given.clone()).build().unwrap();

    assert_eq!(SECOND, slept(&executor, &given));
    assert_eq!(0, other.now().as_nanos());
}

#[test]
fn it_shows_what_it_was_built_of() {
    let clock = MockClock::new();
    let limiter = limiter(&clock);
    let builder = ResilientExecutor::<()>::builder().limiter(limiter.clone());
    let builder = builder.acquire_timeout(SECOND).charge(Charge::Attempt).ignore(|()| true);
    let executor = builder.circuit_breaker(breaker(&clock, 3)).build().unwrap();

    let shown = format!("{executor:?}");

    let limiter = format!("{:?}", AnyLimiter::from(limiter));
    assert!(shown.starts_with(&format!("ResilientExecutor {{ limiter: {limiter}, ")), "{shown}");
    assert!(shown.contains("circuit_breaker: CircuitBreaker { failure_threshold: 3"), "{shown}");
    assert!(!shown.contains("retry_policy"), "{shown}");
    let end = "charge: Attempt, acquire_timeout: 1s, ignore: a closure }";
    assert!(shown.ends_with(end), "{shown}");
}

#[test]
fn a_clone_shares_everything() {
    let clock = MockClock::new();
    let builder = ResilientExecutor::<()>::builder().limiter(limiter(&clock));
    let executor = builder.acquire_timeout(Duration::ZERO).build().unwrap();

    assert_eq!(Ok(1), executor.clone().run_blocking("key", || Ok(1)));

    assert!(matches!(executor.run_blocking("key", || Ok(2)), Err(RunError::RateLimitExceeded(_)),));
}

#[test]
fn a_run_can_move_between_threads_when_its_closure_can() {
    fn check<T: Send>(_: &T) {}
    let executor = ResilientExecutor::builder().retry_policy(thrice()).build().unwrap();

    check(&executor.run("key", || async { Ok::<_, &str>(7) }));
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_of_tasks_on_several_threads_share_one_executor() {
    let clock = MockClock::new();
    let executor = ResilientExecutor::builder().circuit_breaker(breaker(&clock, 1));
    let executor = executor.retry_policy(RetryPolicy::default()).build().unwrap();

    let tasks = (0..100).map(|n| {
        let executor = executor.clone();
        tokio::spawn(async move { executor.run("key", || async { Ok::<_, ()>(n) }).await })
    });

    for (n, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(Ok(n), task.await.unwrap());
    }
}

#[test]
fn a_closure_may_borrow_and_change_what_is_around_it() {
    let clock = MockClock::new();
    let executor = ResilientExecutor::builder().retry_policy(thrice()).clock(clock.clone());
    let mut seen = Vec::new();

    let answer = Way::Future.run(&executor.build().unwrap(), &clock, || {
        seen.push(seen.len());
        if seen.len() < 3 { Err("timed out") } else { Ok("done") }
    });

    assert_eq!(Ok("done"), answer);
    assert_eq!(vec![0, 1, 2], seen);
}
