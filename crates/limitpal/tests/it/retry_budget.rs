//! A retry budget: a share of the calls and a floor, shared, charged at the decision.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    CircuitBreaker, MockClock, ResilientExecutor, RetryBudget, RetryPolicy, RunError, StopReason,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn budget(clock: &MockClock, ratio: f64, floor: f64) -> RetryBudget {
    let budget = RetryBudget::builder().ratio(ratio).minimum_per_second(floor).window(10 * SECOND);
    budget.clock(clock.clone()).build().expect("a budget within the ranges")
}

fn executor(budget: &RetryBudget, attempts: u32) -> ResilientExecutor<&'static str> {
    let policy = RetryPolicy::builder().max_attempts(attempts).base_delay(Duration::ZERO);
    ResilientExecutor::builder()
        .retry_policy(policy.build().expect("a policy within the ranges"))
        .retry_budget(budget.clone())
        .clock(MockClock::new())
        .build()
        .expect("an executor is always right")
}

/// Returns how many attempts a run made that always fails, and why it ended.
fn fail(executor: &ResilientExecutor<&'static str>) -> (u32, StopReason) {
    match executor.run_blocking("api", || Err::<(), _>("down")) {
        Err(RunError::RetryExhausted(end)) => (end.attempts, end.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_quiet_client_may_retry_up_to_the_floor() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.0, 0.2);
    let executor = executor(&budget, 3);

    assert_eq!((3, StopReason::Attempts), fail(&executor), "two of a reserve of 0.2 * 10");
    assert_eq!((1, StopReason::Budget), fail(&executor));
    clock.advance(10 * SECOND);
    assert_eq!((3, StopReason::Attempts), fail(&executor), "a window later there are two more");
}

#[test]
fn what_is_not_used_of_a_quiet_time_is_forgotten() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.5, 0.0);
    let executor = executor(&budget, 3);
    for _ in 0..100 {
        executor.run_blocking("api", || Ok(())).unwrap();
    }
    assert_eq!(50, budget.left());

    clock.advance(9 * SECOND);
    assert_eq!(50, budget.left());
    clock.advance(SECOND);
    assert_eq!(0, budget.left());
}

#[test]
fn executors_share_a_budget_and_a_run_says_that_it_ended_by_it() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.0, 0.1);
    let (one, other) = (executor(&budget, 9), executor(&budget, 9));

    assert_eq!((2, StopReason::Budget), fail(&one));
    let end = other.run_blocking("api", || Err::<(), _>("down")).unwrap_err();
    assert_eq!("gave up after 1 attempt; the retry budget has no other", end.to_string());
}

#[test]
fn a_retry_that_is_cancelled_in_its_wait_is_given_back() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.0, 0.1);
    let policy = RetryPolicy::builder().base_delay(SECOND).build().unwrap();
    let executor = ResilientExecutor::builder()
        .retry_policy(policy)
        .retry_budget(budget.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    {
        let mut run = pin!(executor.run("api", || async { Err::<(), _>("down") }));
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(Poll::Pending, run.as_mut().poll(&mut context).map(|_| ()));
        assert_eq!(0, budget.left(), "charged before the wait");
    }

    assert_eq!(1, budget.left());
}

#[test]
fn a_retry_that_a_breaker_stops_is_given_back() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.0, 0.1);
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone());
    let breaker = breaker.build().unwrap();
    let executor = ResilientExecutor::builder()
        .retry_policy(RetryPolicy::default())
        .circuit_breaker(breaker.clone())
        .retry_budget(budget.clone())
        .build()
        .unwrap();

    let end = executor.run_blocking("api", || {
        breaker.record_failure();
        Err::<(), _>("down")
    });

    let Err(RunError::RetryExhausted(end)) = end else { panic!("{end:?}") };
    assert_eq!((1, StopReason::CircuitOpen), (end.attempts, end.reason));
    assert_eq!(1, budget.left());
}

#[test]
fn a_panic_in_an_attempt_counts_no_call_and_gives_nothing_back_that_was_sent() {
    let clock = MockClock::new();
    let budget = budget(&clock, 1.0, 0.0);
    let executor = executor(&budget, 2);

    let mut attempts = 0;
    let run = std::panic::AssertUnwindSafe(|| {
        let _ = executor.run_blocking("api", || {
            attempts += 1;
            if attempts == 2 { panic!("in the retry") } else { Err::<(), _>("down") }
        });
    });
    std::panic::catch_unwind(run).unwrap_err();

    assert_eq!(0, budget.left(), "one call, one retry that was sent");
}

#[test]
fn nonsense_is_refused_by_name() {
    let says = |ratio, floor, window| {
        let budget = RetryBudget::builder().ratio(ratio).minimum_per_second(floor).window(window);
        budget.build().unwrap_err().to_string()
    };

    for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        assert_eq!(format!("ratio is {bad}; give a number from 0 to 1"), says(bad, 1.0, SECOND));
    }
    for bad in [-0.1, 1_000_001.0, f64::NAN, f64::INFINITY] {
        let expected = format!("minimum_per_second is {bad}; give a number from 0 to 1000000");
        assert_eq!(expected, says(0.1, bad, SECOND));
    }
    assert!(says(0.1, 1.0, Duration::ZERO).starts_with("window is 0ns; "));
}

#[test]
fn threads_together_keep_to_the_budget() {
    let clock = MockClock::new();
    let budget = budget(&clock, 0.1, 0.5);

    let attempts: u32 = std::thread::scope(|scope| {
        let run = || (0..500).map(|_| fail(&executor(&budget, 4)).0).sum::<u32>();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    assert_eq!(2_000 + 200 + 5, attempts);
}

proptest! {
    /// At a total outage attempts never exceed `(1 + ratio) * calls + reserve`, and where there are
    /// attempts enough they reach it, whoever comes when within a window.
    #[test]
    fn at_a_total_outage_attempts_are_a_share_more_than_calls(
        ratio in 0.0..=1.0_f64,
        floor in 0.0..3.0_f64,
        attempts in 2_u32..6,
        gaps in prop::collection::vec(0_u64..40, 1..200),
    ) {
        let clock = MockClock::new();
        let budget = budget(&clock, ratio, floor);
        let executor = executor(&budget, attempts);
        let reserve = floor * 10.0;

        let mut made = 0;
        for (calls, gap) in (1_u32..).zip(gaps) {
            clock.advance(Duration::from_millis(gap));
            made += fail(&executor).0;

            let most = (1.0 + ratio) * f64::from(calls) + reserve;
            prop_assert!(f64::from(made) <= most + 1e-9, "{made} attempts of {calls} calls");
            let could = f64::from(calls * attempts);
            prop_assert!(f64::from(made) > most.min(could) - f64::from(calls) - 1.0);
        }
    }

    /// Whenever there was a retry, whatever came before: those of the last nineteen twentieths of a
    /// window are no more than the share of the calls of the last window and the reserve.
    #[test]
    fn retries_of_a_window_are_within_its_calls_share(
        ratio in 0.0..=1.0_f64,
        floor in 0.0..1.0_f64,
        gaps in prop::collection::vec(prop_oneof![0_u64..100, 0_u64..9_000], 1..150),
    ) {
        let clock = MockClock::new();
        let budget = budget(&clock, ratio, floor);
        let executor = executor(&budget, 4);
        let mut made: Vec<(f64, u32)> = Vec::new();

        for gap in gaps {
            clock.advance(Duration::from_millis(gap));
            let now = clock.now().as_nanos() as f64 / 1e9;
            made.push((now, fail(&executor).0 - 1));
            if made.last().is_none_or(|(_, retries)| *retries == 0) {
                continue;
            }

            let within = |span: f64| made.iter().filter(move |(at, _)| *at > now - span);
            let retries: u32 = within(9.5).map(|(_, retries)| retries).sum();
            let calls = within(10.0).count() as f64;
            prop_assert!(f64::from(retries) <= ratio * calls + floor * 10.0 + 1e-9);
        }
    }
}
