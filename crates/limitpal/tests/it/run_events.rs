//! What an executor tells of its runs.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod laws;

use std::error::Error;
use std::fmt;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use limitpal::{
    Bulkhead, CircuitBreaker, Event, Hedge, MockClock, Outcome, Rate, RateLimitExceeded,
    ResilientExecutor, ResilientExecutorBuilder, RetryAfter, RetryPolicy, RunEnd, StopReason,
    Subscription, TokenBucket,
};

use crate::executor_stats::adds_up;

/// The events of an executor, in words.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn of<E: fmt::Display>(executor: &ResilientExecutor<E>) -> (Self, Subscription) {
        let heard = Self::default();
        let own = heard.clone();
        let subscription =
            executor.observe(move |event| own.0.lock().unwrap().push(in_words(event)));
        (heard, subscription)
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn in_words(event: &Event) -> String {
    match event {
        Event::RunBegan { key, run, .. } => format!("run {run} of {key}"),
        Event::AttemptBegan { attempt, .. } => format!("attempt {attempt}"),
        Event::AttemptFailed { attempt, words, retryable, outcome, .. } => {
            let counts = outcome.map_or("nothing", |_| "a failure");
            let again = if *retryable { "again" } else { "not again" };
            format!("attempt {attempt} failed: {words}, {again}, counts as {counts}")
        }
        Event::RetryPlanned { attempt, delay, .. } => format!("attempt {attempt} in {delay:?}"),
        Event::HedgeStarted { attempt, hedge, .. } => format!("hedge {hedge} of {attempt}"),
        Event::RunEnded { end, attempts, waited, backed_off, lasted, .. } => {
            let reason = end.reason().map_or(String::new(), |reason| format!(" by {reason}"));
            let lasted = lasted.unwrap();
            format!("{end}{reason}: {attempts} in {lasted:?}, {waited:?} + {backed_off:?} waited")
        }
        other => format!("{other:?}"),
    }
}

fn executor<E>(clock: &MockClock) -> ResilientExecutorBuilder<E> {
    ResilientExecutor::builder().clock(clock)
}

#[test]
fn a_run_is_told_from_its_beginning_to_its_end() {
    let clock = MockClock::new();
    let bucket = TokenBucket::builder(1, Rate::per_second(1.0).unwrap()).clock(&clock);
    let executor = executor(&clock)
        .limiter(bucket.build().unwrap())
        .retry_policy(RetryPolicy::default())
        .circuit_breaker(CircuitBreaker::builder().clock(&clock).build().unwrap())
        .build()
        .unwrap();
    executor.run_blocking("ann", || Ok::<_, String>(())).unwrap();
    let (heard, subscription) = Heard::of(&executor);

    let mut answers = [Err("slow".to_owned()), Ok(7)].into_iter();
    assert_eq!(Ok(7), executor.run_blocking("ann", || answers.next().unwrap()));

    let expected = [
        "run 1 of ann",
        "attempt 1",
        "attempt 1 failed: slow, again, counts as a failure",
        "attempt 2 in 100ms",
        "attempt 2",
        "success: 2 in 1.1s, 1s + 100ms waited",
    ];
    assert_eq!(expected, heard.take()[..]);
    subscription.close();
    executor.run_blocking("bob", || Ok(())).unwrap();
    assert!(heard.take().is_empty());
    assert!(!subscription.is_open());
}

#[test]
fn whoever_refuses_is_named() {
    let clock = MockClock::new();
    let zero = Duration::ZERO;
    let bucket = TokenBucket::builder(1, Rate::per_second(1.0).unwrap()).clock(&clock);
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(&clock).build().unwrap();
    let bulkhead = Bulkhead::builder(1).clock(&clock).build().unwrap();
    let retries = RetryPolicy::builder().max_elapsed(Duration::from_nanos(1)).build().unwrap();
    let last = |executor: &ResilientExecutor<String>| {
        let (heard, _subscription) = Heard::of(executor);
        drop(executor.run_blocking("ann", || Err::<(), _>("down".to_owned())));
        heard.take().pop().unwrap()
    };

    let limited = executor(&clock).limiter(bucket.build().unwrap()).acquire_timeout(zero);
    let limited = limited.build().unwrap();
    assert_eq!("failed: 1 in 0ns, 0ns + 0ns waited", last(&limited));
    assert_eq!("refused_by_limiter: 0 in 0ns, 0ns + 0ns waited", last(&limited));
    let broken = executor(&clock).circuit_breaker(breaker).build().unwrap();
    assert_eq!("failed: 1 in 0ns, 0ns + 0ns waited", last(&broken));
    assert_eq!("refused_by_breaker: 0 in 0ns, 0ns + 0ns waited", last(&broken));
    let guarded = executor(&clock).bulkhead(bulkhead.clone()).acquire_timeout(zero);
    let guarded = guarded.build().unwrap();
    let inside = bulkhead.try_acquire().unwrap();
    assert_eq!("refused_by_bulkhead: 0 in 0ns, 0ns + 0ns waited", last(&guarded));
    drop(inside);
    let timed = executor(&clock).retry_policy(retries).build().unwrap();
    assert_eq!("exhausted by elapsed: 1 in 0ns, 0ns + 0ns waited", last(&timed));
    assert_eq!(Some(StopReason::Budget), RunEnd::Exhausted(StopReason::Budget).reason());
}

#[test]
fn a_run_that_is_dropped_or_panics_has_ended() {
    let clock = MockClock::new();
    let executor = executor::<String>(&clock).build().unwrap();
    let (heard, _subscription) = Heard::of(&executor);

    let mut run = Box::pin(executor.run("ann", pending::<Result<(), _>>));
    assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    clock.advance(Duration::from_secs(3));
    drop(run);
    let panics = || executor.run_blocking("bob", || -> Result<(), String> { panic!("as told") });
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());

    let expected = [
        "run 1 of ann",
        "attempt 1",
        "cancelled: 1 in 3s, 0ns + 0ns waited",
        "run 2 of bob",
        "attempt 1",
        "cancelled: 1 in 0ns, 0ns + 0ns waited",
    ];
    assert_eq!(expected, heard.take()[..]);
}

#[test]
fn an_attempt_that_is_cut_short_and_a_refusal_of_ours_are_told_of_as_such() {
    type Any = Box<dyn Error + Send + Sync>;
    let clock = MockClock::new();
    let second = Duration::from_secs(1);
    let executor = executor::<Any>(&clock)
        .attempt_timeout(second)
        .retry_policy(RetryPolicy::builder().max_attempts(2).build().unwrap())
        .build()
        .unwrap();
    let (heard, _subscription) = Heard::of(&executor);

    let mut run = pin!(executor.run("ann", pending::<Result<(), Any>>));
    let mut context = Context::from_waker(Waker::noop());
    while run.as_mut().poll(&mut context).is_pending() {
        clock.advance(clock.next_deadline().unwrap());
    }
    let refusal = || Err::<(), _>(RateLimitExceeded::new(RetryAfter::Never).into());
    executor.run_blocking("bob", refusal).unwrap_err();

    let heard = heard.take();
    assert!(heard[2].starts_with("attempt 1 failed:") && heard[2].contains("again"), "{heard:?}");
    assert_eq!("exhausted by attempts: 2 in 2.1s, 0ns + 100ms waited", heard[6]);
    assert!(heard[9].ends_with("not again, counts as nothing"), "{heard:?}");
    assert!(heard[10].starts_with("failed: 1"), "{heard:?}");
}

#[test]
fn hedges_are_told_of_as_they_start() {
    let clock = MockClock::new();
    let hedge = Hedge::builder().delay(Duration::from_secs(1)).build().unwrap();
    let executor = executor::<String>(&clock).hedge(hedge).build().unwrap();
    let (heard, _subscription) = Heard::of(&executor);

    let mut calls = 0;
    let mut run = pin!(executor.run("ann", || {
        calls += 1;
        let is_first = calls == 1;
        async move { if is_first { pending().await } else { Ok(()) } }
    }));
    let mut context = Context::from_waker(Waker::noop());
    while run.as_mut().poll(&mut context).is_pending() {
        clock.advance(clock.next_deadline().unwrap());
    }

    let expected =
        ["run 1 of ann", "attempt 1", "hedge 1 of 1", "success: 1 in 1s, 0ns + 0ns waited"];
    assert_eq!(expected, heard.take()[..]);
}

#[test]
fn observers_can_neither_break_a_run_nor_hear_of_their_own() {
    struct Sour;
    impl fmt::Display for Sour {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("as told")
        }
    }
    let executor = ResilientExecutor::<Sour>::builder().build().unwrap();
    let own = executor.clone();
    let panicking = executor.observe(move |_| {
        drop(own.run_blocking("inner", || Err::<(), _>(Sour)));
        panic!("as told");
    });
    let (heard, _subscription) = Heard::of(&executor);

    assert!(executor.run_blocking("ann", || Err::<(), _>(Sour)).is_err());

    assert_eq!(4, panicking.panics());
    assert_eq!(4, heard.take().len());
    // The four runs within, and the one around them.
    assert_eq!((5, 0), (executor.stats().calls, executor.stats().in_flight));
}

#[test]
fn clones_and_keys_with_a_breaker_of_their_own_are_told_of_together() {
    let breakers = CircuitBreaker::builder().build_keyed(None).unwrap();
    let executor = ResilientExecutor::<String>::builder().circuit_breaker_per_key(breakers);
    let executor = executor.build().unwrap();
    let (heard, _subscription) = Heard::of(&executor.clone());

    executor.run_blocking("ann", || Ok(())).unwrap();
    executor.run_attempts_blocking("bob", |_| Ok(())).unwrap();
    executor.run_on_threads("cid", || Ok(())).unwrap();
    let mut run = pin!(executor.run_attempts("dee", |_| ready(Ok(()))));
    assert!(run.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());

    let began = |word: &String| word.starts_with("run");
    let heard: Vec<_> = heard.take().into_iter().filter(began).collect();
    assert_eq!(["run 1 of ann", "run 2 of bob", "run 3 of cid", "run 4 of dee"], heard[..]);
}

#[test]
fn an_outcome_is_told_of_only_where_somebody_counts_it() {
    let executor = ResilientExecutor::<String>::builder().build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&seen);
    let subscription = executor.observe(move |event| {
        if let Event::AttemptFailed { outcome, error, .. } = event {
            own.lock().unwrap().push((*outcome, error.to_string()));
        }
    });

    executor.run_blocking("ann", || Err::<(), _>("down".to_owned())).unwrap_err();

    assert_eq!([(None::<Outcome>, "alloc::string::String".to_owned())], seen.lock().unwrap()[..]);
    assert!(adds_up(&executor.stats()) && subscription.is_open());
}
