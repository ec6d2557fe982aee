//! No run ends later than its deadline, whatever its attempts do and whatever it is made of.

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use limitpal::{Charge, Clock, MockClock, ResilientExecutor, RetryBudget, RetryPolicy, RunError};
use proptest::prelude::*;

use super::{breaker, drive, limiter, poll};
use crate::laws::cases;

/// What an attempt does.
#[derive(Clone, Copy, Debug)]
enum Act {
    Hang,
    /// Takes so many milliseconds, and then fails or not.
    Take(u32, bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        1 => Just(Act::Hang),
        4 => (0_u32..3000, any::<bool>()).prop_map(|(millis, fails)| Act::Take(millis, fails)),
    ];
    proptest::collection::vec(act, 1..12)
}

#[derive(Clone, Debug)]
struct Parts {
    timeout: u32,
    /// In thousandths of the timeout.
    attempt: Option<u32>,
    charge: Charge,
    limited: bool,
    broken: bool,
    budget: bool,
    delay: u32,
}

fn parts() -> impl Strategy<Value = Parts> {
    let flags = any::<[bool; 4]>();
    let times = (1_u32..6000, proptest::option::of(1_u32..1000), 1_u32..1500);
    (flags, times).prop_map(|([attempts, limited, broken, budget], (timeout, attempt, delay))| {
        let charge = if attempts { Charge::Attempt } else { Charge::Call };
        Parts { timeout, attempt, charge, limited, broken, budget, delay }
    })
}

fn millis(millis: u32) -> Duration {
    Duration::from_millis(millis.into())
}

fn executor(clock: &MockClock, parts: &Parts) -> ResilientExecutor<&'static str> {
    let policy = RetryPolicy::builder().unlimited_attempts().base_delay(millis(parts.delay));
    let timeout = millis(parts.timeout);
    let mut builder = ResilientExecutor::builder().clock(clock).charge(parts.charge);
    builder = builder.retry_policy(policy.build().unwrap()).timeout(timeout);
    if let Some(share) = parts.attempt {
        builder = builder.attempt_timeout((timeout * share / 1000).max(Duration::from_nanos(1)));
    }
    if parts.limited {
        builder = builder.limiter(limiter(clock, 1.0));
    }
    if parts.broken {
        builder = builder.circuit_breaker(breaker(clock, 3));
    }
    if parts.budget {
        let budget = RetryBudget::builder().ratio(0.5).clock(clock).build().unwrap();
        builder = builder.retry_budget(budget);
    }
    builder.build().unwrap()
}

async fn act(clock: &MockClock, act: Act) -> Result<u32, &'static str> {
    match act {
        Act::Hang => pending().await,
        Act::Take(span, fails) => {
            clock.sleep(millis(span)).await;
            if fails { Err("busy") } else { Ok(7) }
        }
    }
}

/// Asserts what is true after any run: all is counted, nobody sleeps, and nothing is held.
fn settled(clock: &MockClock, executor: &ResilientExecutor<&'static str>) {
    let stats = executor.stats();
    assert_eq!(None, clock.next_deadline());
    assert_eq!(stats.calls, stats.successes + stats.failures + stats.refusals() + stats.cancelled);
    assert_eq!(stats.attempts, stats.firsts + stats.retries);
    assert!(stats.timeouts <= stats.attempts, "{stats:?}");
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_awaited_run_ends_later_than_its_deadline(parts in parts(), acts in acts()) {
        let clock = MockClock::new();
        let executor = executor(&clock, &parts);
        let mut acts = acts.into_iter().cycle();
        for _ in 0..3 {
            let deadline = clock.now() + millis(parts.timeout);

            let answer = drive(&clock, executor.run("key", || act(&clock, acts.next().unwrap())));

            prop_assert!(clock.now() <= deadline, "{answer:?} at {:?}, not {deadline:?}", clock.now());
            if let Err(RunError::RateLimitExceeded(_) | RunError::CircuitBreakerOpen(_)) = answer {
                clock.advance(Duration::from_secs(1));
            }
            settled(&clock, &executor);
        }
    }

    #[test]
    fn no_wait_of_ours_ends_later_than_the_deadline(parts in parts(), acts in acts()) {
        let clock = MockClock::new();
        let executor = executor(&clock, &parts);
        let mut acts = acts.into_iter().cycle();
        for _ in 0..3 {
            let deadline = clock.now() + millis(parts.timeout);
            // Blocked in the function the run cannot be ended; all else is a wait of ours.
            let own = Cell::new(Duration::ZERO);

            let answer = executor.run_blocking("key", || {
                assert!(clock.now() < deadline, "an attempt began at its deadline");
                match acts.next().unwrap() {
                    Act::Hang => Err("busy"),
                    Act::Take(span, fails) => {
                        clock.sleep_blocking(millis(span));
                        own.set(own.get() + millis(span));
                        if fails { Err("busy") } else { Ok(7) }
                    }
                }
            });

            let waited = clock.now().saturating_sub(own.get());
            prop_assert!(waited < deadline, "{answer:?} {waited:?} {deadline:?}");
            settled(&clock, &executor);
        }
    }

    #[test]
    fn a_run_that_is_dropped_anywhere_leaves_nothing(
        parts in parts(), acts in acts(), steps in 1_usize..6,
    ) {
        let clock = MockClock::new();
        let executor = executor(&clock, &parts);
        let mut acts = acts.into_iter().cycle();
        {
            let mut run = pin!(executor.run("key", || act(&clock, acts.next().unwrap())));
            for _ in 0..steps {
                if poll(run.as_mut()).is_some() {
                    break;
                }
                clock.advance(clock.next_deadline().unwrap());
            }
        }
        settled(&clock, &executor);
    }
}
