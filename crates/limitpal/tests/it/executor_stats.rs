//! What an executor counts adds up, after every run, whatever became of it.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    Bulkhead, Charge, CircuitBreaker, ExecutorStats, MockClock, Rate, ResilientExecutor,
    RetryPolicy, RunError, StopReason, TokenBucket,
};
use proptest::prelude::*;

use crate::laws::cases;

/// What the function does when it is called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Line {
    Value,
    /// An error that deserves another attempt.
    Slow,
    /// An error that does not.
    Wrong,
    Panic,
    /// Waits for ever, if it is awaited: then the run is dropped.
    Hang,
}

/// What happens to an executor.
#[derive(Clone, Debug)]
struct Act {
    pause: u32,
    awaits: bool,
    /// Whether the bulkhead is full, where there is one.
    finds_it_full: bool,
    lines: Vec<Line>,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let line = prop_oneof![
        6 => Just(Line::Value), 4 => Just(Line::Slow), 1 => Just(Line::Wrong),
        1 => Just(Line::Panic), 1 => Just(Line::Hang),
    ];
    let act = (0_u32..3000, any::<[bool; 2]>(), proptest::collection::vec(line, 4)).prop_map(
        |(pause, [awaits, finds_it_full], lines)| Act { pause, awaits, finds_it_full, lines },
    );
    proptest::collection::vec(act, 1..40)
}

/// Calls it so many times, and counts what became of each from outside.
struct World {
    clock: MockClock,
    executor: ResilientExecutor<Line>,
    bulkhead: Bulkhead,
    called: Cell<u64>,
    expected: RefCell<ExecutorStats>,
}

fn world(charge: Charge, [limited, broken, retried, guarded]: [bool; 4]) -> World {
    let clock = MockClock::new();
    let mut builder = ResilientExecutor::builder().clock(&clock).charge(charge);
    if limited {
        let bucket = TokenBucket::builder(3, Rate::per_second(1.0).unwrap()).clock(&clock);
        builder =
            builder.limiter(bucket.build().unwrap()).acquire_timeout(Duration::from_millis(500));
    }
    if broken {
        let breaker = CircuitBreaker::builder().failure_threshold(2).clock(&clock);
        builder = builder.circuit_breaker(breaker.build().unwrap());
    }
    if retried {
        let policy = RetryPolicy::builder().retry_if(|line| *line == Line::Slow);
        builder = builder.retry_policy(policy.build().unwrap());
    }
    let bulkhead = Bulkhead::builder(1).clock(&clock).build().unwrap();
    if guarded {
        builder = builder.bulkhead(bulkhead.clone());
    }
    let executor = builder.build().unwrap();
    World { clock, executor, bulkhead, called: Cell::new(0), expected: RefCell::default() }
}

impl World {
    /// Runs once; the answer is none where the run was dropped or has panicked.
    fn run(&self, act: &Act) -> Option<Result<(), RunError<Line>>> {
        self.clock.advance(Duration::from_millis(act.pause.into()));
        let _inside = act.finds_it_full.then(|| self.bulkhead.try_acquire());
        let mut lines: VecDeque<_> = act.lines.iter().copied().collect();
        let mut next = || {
            self.called.set(self.called.get() + 1);
            assert_eq!(1, self.executor.stats().in_flight, "the run that calls this");
            match lines.pop_front() {
                Some(Line::Panic) => panic!("as told"),
                line => line.unwrap_or(Line::Value),
            }
        };
        let answer = |line| if line == Line::Value { Ok(()) } else { Err(line) };
        let run = || {
            if !act.awaits {
                return Some(self.executor.run_blocking("key", || answer(next())));
            }
            let run = self.executor.run("key", || {
                let line = next();
                poll_fn(move |_| match line {
                    Line::Hang => Poll::Pending,
                    line => Poll::Ready(answer(line)),
                })
            });
            let mut run = pin!(run);
            loop {
                if let Poll::Ready(answer) =
                    run.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    return Some(answer);
                }
                self.clock.advance(self.clock.next_deadline()?);
            }
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or(None)
    }

    /// Counts what became of a run whose function was called so many times.
    fn count(&self, answer: Option<&Result<(), RunError<Line>>>, attempts: u64) {
        let mut stats = self.expected.borrow_mut();
        stats.calls += 1;
        stats.attempts += attempts;
        stats.firsts += u64::from(attempts > 0);
        stats.retries += attempts.saturating_sub(1);
        match answer {
            None => stats.cancelled += 1,
            Some(Ok(())) => {
                stats.successes += 1;
                stats.recovered += u64::from(attempts > 1);
            }
            Some(Err(RunError::RateLimitExceeded(_))) => stats.refused_by_limiter += 1,
            Some(Err(RunError::CircuitBreakerOpen(_))) => stats.refused_by_breaker += 1,
            Some(Err(RunError::BulkheadFull(_))) => stats.refused_by_bulkhead += 1,
            Some(Err(error)) => {
                stats.failures += 1;
                if let RunError::RetryExhausted(error) = error {
                    *match error.reason {
                        StopReason::Attempts => &mut stats.exhausted,
                        StopReason::Elapsed => &mut stats.out_of_time,
                        StopReason::Budget => &mut stats.out_of_budget,
                        StopReason::CircuitOpen => &mut stats.stopped_by_breaker,
                        _ => &mut stats.stopped_by_limiter,
                    } += 1;
                }
            }
        }
    }
}

/// Whether no run and no attempt is missing.
pub(crate) fn adds_up(stats: &ExecutorStats) -> bool {
    let ended = stats.successes + stats.failures + stats.refusals() + stats.cancelled;
    stats.calls == ended + stats.in_flight
        && stats.attempts == stats.firsts + stats.retries + stats.hedges
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn what_is_counted_is_what_became_of_each_run(
        attempts in any::<bool>(),
        parts in any::<[bool; 4]>(),
        acts in acts(),
    ) {
        let charge = if attempts { Charge::Attempt } else { Charge::Call };
        let world = world(charge, parts);

        for act in &acts {
            let before = world.called.get();
            let answer = world.run(act);
            world.count(answer.as_ref(), world.called.get() - before);

            let stats = world.executor.stats();
            let mut expected = *world.expected.borrow();
            (expected.waited, expected.backed_off) = (stats.waited, stats.backed_off);
            prop_assert_eq!(expected, stats);
            prop_assert_eq!(0, stats.in_flight);
            prop_assert!(adds_up(&stats), "{:?}", stats);
        }
    }
}

#[test]
fn waits_are_counted_as_they_were() {
    let clock = MockClock::new();
    let bucket = TokenBucket::builder(1, Rate::per_second(1.0).unwrap()).clock(&clock);
    let executor = ResilientExecutor::builder()
        .limiter(bucket.build().unwrap())
        .retry_policy(RetryPolicy::default())
        .clock(&clock)
        .build()
        .unwrap();
    let mut answers = [Ok(1), Err("slow"), Ok(2)].into_iter();

    for _ in 0..2 {
        executor.run_blocking("ann", || answers.next().unwrap()).unwrap();
    }

    let stats = executor.stats();
    assert_eq!(Duration::from_secs(1), stats.waited);
    assert_eq!(Duration::from_millis(100), stats.backed_off);
    assert_eq!((Some(1.5), Some(1.0)), (stats.amplification(), stats.retry_success()));
}

#[test]
fn runs_through_their_keys_own_breakers_are_counted_together() {
    let breakers = CircuitBreaker::builder().failure_threshold(1).build_keyed(None).unwrap();
    let executor = ResilientExecutor::builder().circuit_breaker_per_key(breakers).build().unwrap();

    executor.run_blocking("ann", || Err::<(), _>(Line::Wrong)).unwrap_err();
    executor.run_blocking("ann", || Ok::<_, Line>(())).unwrap_err();
    executor.run_blocking("bob", || Ok::<_, Line>(())).unwrap();

    let stats = executor.stats();
    assert_eq!((3, 1, 1), (stats.calls, stats.successes, stats.failures));
    assert_eq!(1, stats.refused_by_breaker);
}

#[test]
fn nothing_is_divided_by_nothing() {
    let stats = ResilientExecutor::<()>::builder().build().unwrap().stats();

    assert_eq!(ExecutorStats::default(), stats);
    assert_eq!((None, None), (stats.amplification(), stats.retry_success()));
}

#[test]
fn a_run_is_in_flight_from_its_first_poll_until_it_has_ended_or_is_dropped() {
    let clock = MockClock::new();
    let bucket = TokenBucket::builder(3, Rate::per_second(1.0).unwrap()).clock(&clock).build();
    let executor = ResilientExecutor::<()>::builder().limiter(bucket.unwrap()).build().unwrap();
    let pending = || poll_fn(|_| Poll::<Result<(), ()>>::Pending);
    let mut runs: Vec<_> = (0..5).map(|_| Box::pin(executor.run("ann", pending))).collect();
    assert_eq!(0, executor.stats().in_flight);

    let mut context = Context::from_waker(Waker::noop());
    // Two of them wait for quota.
    runs.iter_mut().for_each(|run| assert!(run.as_mut().poll(&mut context).is_pending()));
    let stats = executor.stats();
    assert_eq!((5, 5, None), (stats.calls, stats.in_flight, stats.amplification()));

    for left in (0..5).rev() {
        drop(runs.pop());
        assert_eq!((left, 5 - left), (executor.stats().in_flight, executor.stats().cancelled));
    }
    assert_eq!(Some(0.6), executor.stats().amplification());
}

#[test]
fn a_run_that_is_never_polled_is_none() {
    let executor = ResilientExecutor::<()>::builder().build().unwrap();
    drop(executor.run("ann", || ready(Ok(()))));

    assert_eq!(0, executor.stats().calls);
}

#[test]
fn clones_count_together_and_no_thread_s_run_is_lost() {
    let executor = ResilientExecutor::<()>::builder().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let own = executor.clone();
            scope.spawn(move || (0..500).for_each(|_| own.run_blocking("ann", || Ok(())).unwrap()));
        }
    });

    assert_eq!((2000, 2000), (executor.stats().calls, executor.stats().successes));
}
