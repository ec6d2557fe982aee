//! The hooks of a retry policy: what they hear, in which order, and what becomes of a panic.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use limitpal::{AttemptEnd, CircuitState, MockClock, ResilientExecutor, RetryPolicy};

use super::{SECOND, breaker, drive, limiter};

type Log = Arc<Mutex<Vec<String>>>;

fn logged(log: &Log) -> RetryPolicy<&'static str> {
    let write = || {
        let log = log.clone();
        move |line: String| log.lock().unwrap().push(line)
    };
    let (before, after, wait) = (write(), write(), write());
    RetryPolicy::builder()
        .base_delay(SECOND)
        .before_attempt(move |attempt| {
            before(format!("{} at {:?}", attempt.number(), attempt.elapsed()));
        })
        .after_attempt(move |attempt, end| after(format!("{} {end:?}", attempt.number())))
        .before_wait(move |next, delay| {
            let (error, at) = (next.last_error(), next.elapsed());
            wait(format!("{delay:?} for {} at {at:?} after {error:?}", next.number()));
        })
        .build()
        .unwrap()
}

#[test]
fn hooks_hear_of_each_attempt_and_each_wait_in_both_loops() {
    for awaits in [false, true] {
        let (clock, log) = (MockClock::new(), Log::default());
        let builder = ResilientExecutor::builder().clock(&clock).retry_policy(logged(&log));
        let executor = builder.build().unwrap();
        let mut answers = [Err("busy"), Ok(7)].into_iter();
        let mut next = || answers.next().unwrap();

        let answer = match awaits {
            true => drive(&clock, executor.run("key", || std::future::ready(next()))),
            false => executor.run_blocking("key", next),
        };

        assert_eq!(Ok(7), answer);
        let wait = "1s for 2 at 1s after Some(\"busy\")";
        let expected = ["1 at 0ns", "1 Failed(\"busy\")", wait, "2 at 1s", "2 Value"];
        assert_eq!(expected[..], log.lock().unwrap()[..]);
    }
}

#[test]
fn hooks_hear_of_an_attempt_that_was_cut_short() {
    let (clock, log) = (MockClock::new(), Log::default());
    let builder = ResilientExecutor::builder().clock(&clock).retry_policy(logged(&log));
    let executor = builder.attempt_timeout(2 * SECOND).timeout(3 * SECOND).build().unwrap();

    drive(&clock, executor.run("key", pending::<Result<u32, _>>)).unwrap_err();

    let log = log.lock().unwrap();
    assert_eq!(2, log.len(), "a wait that is not begun is none: {log:?}");
    assert!(log[1].starts_with("1 TimedOut(TimeoutExceeded { timeout: 2s, scope: Attempt"));
}

#[test]
fn a_hook_that_panics_ends_the_run_and_nothing_is_lost() {
    for which in 0..3 {
        let clock = MockClock::new();
        let (limiter, breaker) = (limiter(&clock, 0.001), breaker(&clock, 1));
        let policy = RetryPolicy::<&str>::builder().base_delay(SECOND);
        let policy = match which {
            0 => policy.before_attempt(|_| panic!("as told")),
            1 => policy.after_attempt(|_, end| assert_eq!(AttemptEnd::Value, end)),
            _ => policy.before_wait(|_, _| panic!("as told")),
        };
        let builder = ResilientExecutor::builder().clock(&clock).limiter(limiter.clone());
        let builder = builder.circuit_breaker(breaker.clone());
        let executor = builder.retry_policy(policy.build().unwrap()).build().unwrap();

        let run = AssertUnwindSafe(|| executor.run_blocking("key", || Err::<(), _>("busy")));
        catch_unwind(run).unwrap_err();

        let stats = executor.stats();
        let attempts = u64::from(which > 0);
        assert_eq!((1, attempts), (stats.cancelled, stats.attempts), "hook {which}");
        assert_eq!(CircuitState::Closed, breaker.state());
    }
}

#[test]
fn policies_with_other_hooks_are_others_and_show_them() {
    let (one, other) = (Log::default(), Log::default());
    let policy = logged(&one);
    assert_eq!(policy, policy.clone());
    assert_ne!(policy, logged(&other));
    let shown = format!("{policy:?}");
    assert!(shown.contains("before_attempt: a closure, after_attempt: a closure"), "{shown}");
}
