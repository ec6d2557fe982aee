//! Values that deserve another attempt, or count as failures.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

use std::error::Error;
use std::future::{Future, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AttemptEnd, BadAnswer, Charge, CircuitBreaker, CircuitState, Clock, Event, Hedge,
    JudgedExecutor, MockClock, Rate, RateLimitExceeded, ResilientExecutor, RetryAfter, RetryPolicy,
    RunError, StopReason, TokenBucket,
};
use proptest::prelude::*;

use crate::laws::cases;

type Answer = Result<u32, &'static str>;
type Ended = Result<u32, RunError<BadAnswer<u32, &'static str>>>;

/// Runs what a script says, blocking or awaited.
fn run(
    executor: &JudgedExecutor<u32, &'static str>,
    clock: &MockClock,
    awaits: bool,
    script: &[Answer],
) -> (Ended, usize) {
    let mut calls = 0;
    let mut next = || {
        let answer = script.get(calls).copied().unwrap_or(Ok(7));
        calls += 1;
        answer
    };
    if !awaits {
        let ended = executor.run_blocking("key", &mut next);
        return (ended, calls);
    }
    let ended = {
        let mut run = pin!(executor.run("key", || ready(next())));
        loop {
            match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(ended) => break ended,
                Poll::Pending => clock.advance(clock.next_deadline().unwrap()),
            }
        }
    };
    (ended, calls)
}

fn retried(clock: &MockClock) -> ResilientExecutor<&'static str> {
    let policy = RetryPolicy::builder().retry_if(|error| *error == "slow").build().unwrap();
    ResilientExecutor::builder().retry_policy(policy).clock(clock).build().unwrap()
}

#[test]
fn a_value_that_is_not_good_enough_is_asked_for_again_and_kept_at_last() {
    for awaits in [false, true] {
        let clock = MockClock::new();
        let executor = retried(&clock).retry_on_result(|value| *value == 0);

        assert_eq!((Ok(7), 3), run(&executor, &clock, awaits, &[Ok(0), Err("slow"), Ok(7)]));
        assert_eq!(300_000_000, clock.now().as_nanos());
        let (ended, calls) = run(&executor, &clock, awaits, &[Ok(0), Err("slow"), Ok(0)]);
        let Err(RunError::RetryExhausted(end)) = ended else { panic!("{ended:?}") };
        assert_eq!((BadAnswer::Value(0), StopReason::Attempts), (end.last_error, end.reason));
        assert_eq!((3, 3), (end.attempts, calls));
        let ended = run(&executor, &clock, awaits, &[Ok(0), Err("wrong")]).0;
        assert_eq!(Err(RunError::Failed(BadAnswer::Error("wrong"))), ended);

        let stats = executor.stats();
        assert_eq!((1, 1, 1), (stats.recovered, stats.exhausted, stats.failures - stats.exhausted));
        assert_eq!(stats, executor.executor().stats());
    }
}

#[test]
fn to_the_breaker_a_value_is_an_answer_unless_it_says_otherwise() {
    for (charge, failures) in [(Charge::Call, 1), (Charge::Attempt, 3)] {
        let clock = MockClock::new();
        let breaker = CircuitBreaker::builder().failure_threshold(9).count_successes(true);
        let breaker = breaker.clock(&clock).build().unwrap();
        let executor = ResilientExecutor::<&str>::builder()
            .retry_policy(RetryPolicy::default())
            .circuit_breaker(breaker.clone())
            .charge(charge)
            .clock(&clock)
            .build()
            .unwrap()
            .retry_on_result(|value: &u32| *value == 0);

        assert!(run(&executor, &clock, false, &[Ok(0); 3]).0.is_err());
        assert_eq!((0, Some(failures)), (breaker.stats().failures, breaker.stats().successes));
        let executor = executor.failure_on_result(|value| *value == 0);
        assert!(run(&executor, &clock, true, &[Ok(0); 3]).0.is_err());
        assert_eq!(failures, breaker.stats().failures);
    }
}

#[test]
fn a_value_that_counts_as_a_failure_comes_out_as_it_is() {
    for awaits in [false, true] {
        let clock = MockClock::new();
        let breaker = CircuitBreaker::builder().failure_threshold(2).clock(&clock).build().unwrap();
        let executor = ResilientExecutor::<&str>::builder()
            .circuit_breaker(breaker.clone())
            .limiter(
                TokenBucket::builder(9, Rate::per_second(1.0).unwrap())
                    .clock(&clock)
                    .build()
                    .unwrap(),
            )
            .clock(&clock)
            .build()
            .unwrap()
            .failure_on_result(|value: &u32| *value >= 500)
            .retry_on_result(|value| *value == 0);

        assert_eq!((Ok(503), 1), run(&executor, &clock, awaits, &[Ok(503)]));
        // Without a policy nothing is asked for again.
        assert_eq!((Ok(0), 1), run(&executor, &clock, awaits, &[Ok(0)]));
        assert_eq!((Ok(503), 1), run(&executor, &clock, awaits, &[Ok(503)]));
        assert_eq!((Ok(503), 1), run(&executor, &clock, awaits, &[Ok(503)]));
        assert_eq!(CircuitState::Open, breaker.state());
        assert!(matches!(
            run(&executor, &clock, awaits, &[]).0,
            Err(RunError::CircuitBreakerOpen(_))
        ));

        let stats = executor.stats();
        assert_eq!((4, 0, 1), (stats.successes, stats.failures, stats.refused_by_breaker));
    }
}

#[test]
fn what_the_policy_asks_of_errors_it_asks_of_errors_only() {
    type Any = Box<dyn Error + Send + Sync>;
    let clock = MockClock::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (before, after) = (Arc::clone(&heard), Arc::clone(&heard));
    let policy = RetryPolicy::<Any>::builder()
        .delay_from(|error| (error.to_string() == "busy").then_some(Duration::from_secs(9)))
        .before_attempt(move |attempt| {
            before.lock().unwrap().push(format!("{:?}", attempt.last_error().map(Any::to_string)));
        })
        .after_attempt(move |_, end| {
            after.lock().unwrap().push(match end {
                AttemptEnd::Value => "value".to_owned(),
                AttemptEnd::Failed(error) => error.to_string(),
                _ => "cut".to_owned(),
            });
        });
    let executor = ResilientExecutor::builder().retry_policy(policy.build().unwrap()).clock(&clock);
    let executor = executor.build().unwrap().retry_on_result(|value: &u32| *value == 0);

    let mut answers = [Ok(0), Err("busy"), Ok(7)].into_iter();
    let ended = executor.run_blocking("key", || answers.next().unwrap().map_err(Any::from));
    assert_eq!(7, ended.unwrap());
    assert_eq!(9_100_000_000, clock.now().as_nanos());
    let expected = ["None", "value", "None", "busy", "Some(\"busy\")", "value"];
    assert_eq!(expected, heard.lock().unwrap()[..]);

    let refusal = || Err::<u32, Any>(RateLimitExceeded::new(RetryAfter::Never).into());
    let ended = executor.run_blocking("key", refusal);
    assert!(matches!(ended, Err(RunError::Failed(BadAnswer::Error(_)))), "never retried");
}

#[test]
fn a_hedge_that_gives_a_better_value_wins() {
    let clock = MockClock::new();
    let hedge = Hedge::builder().delay(Duration::from_secs(1)).build().unwrap();
    let executor = ResilientExecutor::<&str>::builder()
        .retry_policy(RetryPolicy::default())
        .hedge(hedge)
        .clock(&clock)
        .build()
        .unwrap()
        .retry_on_result(|value: &u32| *value == 0);
    let mut calls = 0;
    let mut run = pin!(executor.run("key", || {
        calls += 1;
        let (wait, value) = if calls == 1 { (2, 0) } else { (3, 7) };
        let clock = clock.clone();
        async move {
            clock.sleep(Duration::from_secs(wait)).await;
            Ok(value)
        }
    }));
    let ended = loop {
        match run.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ended) => break ended,
            Poll::Pending => clock.advance(clock.next_deadline().unwrap()),
        }
    };

    assert_eq!((Ok(7), 4_000_000_000), (ended, clock.now().as_nanos()));
    assert_eq!((1, 1), (executor.stats().hedge_wins, executor.stats().attempts - 1));
}

#[test]
fn whoever_observes_the_executor_hears_of_its_values_too() {
    let clock = MockClock::new();
    let executor = retried(&clock).retry_on_result(|value| *value == 0);
    let executor = executor.failure_on_result(|value| *value == 1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let events = Arc::clone(&heard);
    let subscription = executor.executor().observe(move |event| match event {
        Event::AttemptFailed { error, words, .. } => {
            events.lock().unwrap().push(format!("{error}: {words}"));
        }
        Event::RunEnded { end, .. } => events.lock().unwrap().push(end.to_string()),
        _ => {}
    });

    run(&executor, &clock, false, &[Ok(0), Err("slow"), Ok(1)]).0.unwrap();

    let expected = ["u32: a result that is not good enough", "&str: slow", "success"];
    assert_eq!(expected, heard.lock().unwrap()[..]);
    assert!(subscription.is_open());
}

proptest! {
    #![proptest_config(cases(300))]

    /// As an executor whose function says of such a value that it is an error.
    #[test]
    fn a_bad_value_is_retried_as_an_error_would_be(
        awaits in any::<bool>(),
        scripts in proptest::collection::vec(proptest::collection::vec(0_u32..4, 0..4), 1..20),
    ) {
        let (clock, other) = (MockClock::new(), MockClock::new());
        let judged = retried(&clock).retry_on_result(|value| *value == 0);
        let plain = ResilientExecutor::<Answer>::builder()
            .retry_policy(RetryPolicy::builder().retry_if(|answer| match answer {
                Ok(_) => true,
                Err(error) => *error == "slow",
            }).build().unwrap())
            .clock(&other)
            .build()
            .unwrap();

        for script in scripts {
            let answer = |line: u32| match line {
                2 => Err("slow"),
                3 => Err("wrong"),
                value => Ok(value),
            };
            let script: Vec<Answer> = script.into_iter().map(answer).collect();
            let mut lines = script.iter().copied();
            let expected = plain.run_blocking("key", || match lines.next().unwrap_or(Ok(7)) {
                Ok(value) if value != 0 => Ok(value),
                bad => Err(bad),
            });
            let (ended, _calls) = run(&judged, &clock, awaits, &script);

            let words = |bad: Answer| bad.map_or_else(|error| format!("{error:?}"), |it| format!("{it}"));
            let expected = expected.map_err(|error| match error {
                RunError::RetryExhausted(end) => format!("{} {}", end.attempts, words(end.last_error)),
                RunError::Failed(bad) => words(bad),
                other => format!("{other:?}"),
            });
            let bad = |bad| words(match bad {
                BadAnswer::Value(value) => Ok(value),
                BadAnswer::Error(error) => Err(error),
                _ => unreachable!(),
            });
            let ended = ended.map_err(|error| match error {
                RunError::RetryExhausted(end) => format!("{} {}", end.attempts, bad(end.last_error)),
                RunError::Failed(it) => bad(it),
                other => format!("{other:?}"),
            });
            prop_assert_eq!(expected, ended);
            prop_assert_eq!(other.now(), clock.now());
            prop_assert_eq!(plain.stats(), judged.stats());
        }
    }
}
