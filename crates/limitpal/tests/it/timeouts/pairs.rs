//! A timeout beside each other part: an outage, and how soon all is well after it.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use limitpal::{
    CircuitState, MockClock, ResilientExecutor, ResilientExecutorBuilder, RetryBudget, RunError,
};

use super::{SECOND, breaker, builder, drive, limiter, policy};

/// The other side: it hangs until this many seconds have passed, and then answers at once.
async fn answer(clock: &MockClock, recovers: f64) -> Result<u32, &'static str> {
    if super::seconds(clock) < recovers { pending().await } else { Ok(7) }
}

/// Returns one executor by the time of its runs, and one by the time of its attempts.
fn both(
    make: impl Fn() -> ResilientExecutorBuilder<&'static str>,
) -> [ResilientExecutor<&'static str>; 2] {
    let span = Duration::from_millis(500);
    [make().timeout(span).build().unwrap(), make().attempt_timeout(span).build().unwrap()]
}

#[test]
fn with_retries_the_first_run_that_ends_after_the_outage_succeeds() {
    for way in 0..2 {
        let clock = MockClock::new();
        let executor = &both(|| builder(&clock).retry_policy(policy(3)))[way];
        let mut recovered = None;
        while recovered.is_none() {
            let run = executor.run("key", || answer(&clock, 20.0));
            recovered = drive(&clock, run).ok().map(|_| super::seconds(&clock));
            assert!(super::seconds(&clock) < 23.0, "no longer than one run after the outage");
        }
        assert!(recovered.unwrap() < 22.5, "{recovered:?}");
    }
}

#[test]
fn with_a_breaker_attempts_that_hang_open_it_and_one_probe_closes_it() {
    for way in 0..2 {
        let clock = MockClock::new();
        let breaker = breaker(&clock, 3);
        let executor = &both(|| builder(&clock).circuit_breaker(breaker.clone()))[way];
        for _ in 0..3 {
            drive(&clock, executor.run("key", || answer(&clock, 5.0))).unwrap_err();
        }
        assert_eq!(CircuitState::Open, breaker.state(), "three attempts hung");
        let refused = drive(&clock, executor.run("key", || answer(&clock, 5.0)));
        assert!(matches!(refused, Err(RunError::CircuitBreakerOpen(_))));

        clock.advance(10 * SECOND);
        assert_eq!(Ok(7), drive(&clock, executor.run("key", || answer(&clock, 5.0))));
        assert_eq!(CircuitState::Closed, breaker.state());
    }
}

#[test]
fn with_a_probe_that_hangs_the_circuit_opens_again_at_its_timeout() {
    for way in 0..2 {
        let clock = MockClock::new();
        let breaker = breaker(&clock, 1);
        let executor = &both(|| builder(&clock).circuit_breaker(breaker.clone()))[way];
        breaker.record_failure();
        clock.advance(10 * SECOND);

        drive(&clock, executor.run("key", || answer(&clock, 99.0))).unwrap_err();

        assert_eq!((CircuitState::Open, 10.5), (breaker.state(), super::seconds(&clock)));
    }
}

#[test]
fn refusals_for_want_of_time_feed_neither_breaker_nor_budget() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 1);
    let budget = RetryBudget::builder().ratio(1.0).minimum_per_second(0.0).clock(&clock);
    let budget = budget.build().unwrap();
    let slow = limiter(&clock, 0.01);
    assert!(slow.allow("key"));
    let executor = builder(&clock).limiter(slow).circuit_breaker(breaker.clone());
    let executor = executor.retry_budget(budget.clone()).retry_policy(policy(3));
    let executor = executor.timeout(SECOND).build().unwrap();

    for _ in 0..50 {
        let answer = drive(&clock, executor.run("key", || async { Ok(7) }));
        assert!(matches!(answer, Err(RunError::RateLimitExceeded(_))), "{answer:?}");
    }

    assert_eq!((CircuitState::Closed, 0), (breaker.state(), budget.left()), "no call, no share");
    assert_eq!((50, 0), (executor.stats().refused_by_limiter, executor.stats().attempts));
    assert_eq!(0, clock.now().as_nanos(), "nobody waited");
}

#[test]
fn with_a_budget_attempts_that_hang_stay_a_share_of_the_calls() {
    for way in 0..2 {
        let clock = MockClock::new();
        let budget = RetryBudget::builder().ratio(0.2).minimum_per_second(0.0);
        let budget = budget.window(1000 * SECOND).clock(&clock).build().unwrap();
        let make = || builder(&clock).retry_policy(policy(5)).retry_budget(budget.clone());
        let executor = &both(make)[way];
        let attempts = Cell::new(0_u32);

        for _ in 0..100 {
            drive(
                &clock,
                executor.run("key", || {
                    attempts.set(attempts.get() + 1);
                    pending::<Result<u32, _>>()
                }),
            )
            .unwrap_err();
        }

        // The end of a run within an attempt leaves no time for another.
        let most = [100, 120][way];
        assert_eq!(most, attempts.get());
        assert_eq!(u64::from(most), executor.stats().timeouts);
    }
}

#[test]
fn with_a_limiter_runs_that_hang_spend_their_quota_and_no_more() {
    for way in 0..2 {
        let clock = MockClock::new();
        let executor = &both(|| builder(&clock).limiter(limiter(&clock, 4.0)))[way];
        let begun = Cell::new(0_u32);
        while super::seconds(&clock) < 30.0 {
            let run = executor.run("key", || {
                begun.set(begun.get() + 1);
                answer(&clock, 10.0)
            });
            let _ended = drive(&clock, run);
            clock.advance(Duration::from_millis(10));
        }
        let most = 1.0 + 4.0 * super::seconds(&clock);
        assert!(f64::from(begun.get()) <= most, "{} of {most}", begun.get());
        assert!(executor.stats().successes > 70, "after the outage all runs succeed");
    }
}
