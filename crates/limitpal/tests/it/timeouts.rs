//! The time of a run and of an attempt: what is cut short, what is refused, and who hears of it.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod hooks;
mod laws;
mod pairs;

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    Charge, CircuitBreaker, CircuitState, Clock, Deadline, MockClock, Rate, ResilientExecutor,
    ResilientExecutorBuilder, RetryAfter, RetryPolicy, RunError, StopReason, TimeoutExceeded,
    TimeoutScope, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);

type Answer = Result<u32, RunError<&'static str>>;

fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Drives a future to its end; while it waits, the clock goes on to its next deadline.
fn drive<F: Future>(clock: &MockClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        match poll(future.as_mut()) {
            Some(output) => return output,
            None => clock.advance(clock.next_deadline().expect("somebody waits")),
        }
    }
}

fn seconds(clock: &MockClock) -> f64 {
    clock.now().as_nanos() as f64 / 1e9
}

fn builder(clock: &MockClock) -> ResilientExecutorBuilder<&'static str> {
    ResilientExecutor::builder().clock(clock)
}

/// So many attempts, a second after each.
fn policy(attempts: u32) -> RetryPolicy<&'static str> {
    let policy = RetryPolicy::builder().max_attempts(attempts).base_delay(SECOND).backoff(1.0);
    policy.build().unwrap()
}

fn breaker(clock: &MockClock, failures: u32) -> CircuitBreaker {
    let breaker = CircuitBreaker::builder().failure_threshold(failures);
    breaker.recovery_timeout(10 * SECOND).clock(clock).build().unwrap()
}

fn limiter(clock: &MockClock, per_second: f64) -> TokenBucket {
    let bucket = TokenBucket::builder(1, Rate::per_second(per_second).unwrap());
    bucket.clock(clock).build().unwrap()
}

fn timed_out(scope: TimeoutScope, timeout: Duration, attempts: u32) -> TimeoutExceeded {
    TimeoutExceeded::new(timeout, scope, attempts)
}

/// A sleep and then an answer.
fn after(
    clock: &MockClock,
    span: Duration,
    answer: Result<u32, &'static str>,
) -> impl Future<Output = Result<u32, &'static str>> + use<> {
    let sleep = clock.sleep(span);
    async move {
        sleep.await;
        answer
    }
}

#[test]
fn an_attempt_that_takes_too_long_is_dropped_and_the_next_one_begins() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 9);
    let executor = builder(&clock).retry_policy(policy(3)).circuit_breaker(breaker.clone());
    let executor = executor.attempt_timeout(2 * SECOND).build().unwrap();
    let calls = Cell::new(0);

    let answer: Answer = drive(
        &clock,
        executor.run("key", || {
            calls.set(calls.get() + 1);
            after(&clock, [9 * SECOND, SECOND][(calls.get() == 2) as usize], Ok(calls.get()))
        }),
    );

    assert_eq!((Ok(2), 4.0), (answer, seconds(&clock)), "2 s, a wait of 1 s, 1 s");
    let stats = executor.stats();
    assert_eq!((1, 1, 0), (stats.timeouts, stats.recovered, stats.timed_out));
    assert_eq!(None, clock.next_deadline(), "neither the attempt nor a timer is left");
}

#[test]
fn attempts_that_all_take_too_long_end_with_the_reason_why_there_is_no_other() {
    let clock = MockClock::new();
    let executor = builder(&clock).retry_policy(policy(2)).attempt_timeout(SECOND);
    let executor = executor.build().unwrap();

    let answer: Answer = drive(&clock, executor.run("key", pending::<Result<_, _>>));

    let end = timed_out(TimeoutScope::Attempt, SECOND, 2).because(StopReason::Attempts);
    assert_eq!((Err(RunError::TimeoutExceeded(end)), 3.0), (answer, seconds(&clock)));
    let stats = executor.stats();
    assert_eq!((2, 1, 1, 0), (stats.timeouts, stats.failures, stats.exhausted, stats.timed_out));
}

#[test]
fn a_timeout_deserves_no_other_attempt_without_a_policy_or_where_that_says_so() {
    let clock = MockClock::new();
    let spares = RetryPolicy::builder().retry_timeouts(false).build().unwrap();
    for builder in [builder(&clock), builder(&clock).retry_policy(spares)] {
        let executor = builder.attempt_timeout(SECOND).build().unwrap();

        let answer: Answer = drive(&clock, executor.run("key", pending::<Result<_, _>>));

        let end = timed_out(TimeoutScope::Attempt, SECOND, 1);
        assert_eq!(Err(RunError::TimeoutExceeded(end)), answer);
        assert_eq!((1, 1), (executor.stats().timed_out, executor.stats().failures));
    }
}

#[test]
fn the_end_of_the_run_within_an_attempt_ends_the_run_and_counts_as_a_failure() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let breaker = breaker(&clock, 1);
        let executor = builder(&clock).retry_policy(policy(9)).circuit_breaker(breaker.clone());
        let executor = executor.charge(charge).timeout(3 * SECOND).build().unwrap();
        breaker.reset();

        let answer: Answer = drive(&clock, executor.run("key", pending::<Result<_, _>>));

        let end = timed_out(TimeoutScope::Run, 3 * SECOND, 1);
        assert_eq!((Err(RunError::TimeoutExceeded(end)), 3.0), (answer, seconds(&clock)));
        assert_eq!(CircuitState::Open, breaker.state());
        assert_eq!("the run took longer than 3.00s; attempt 1", end.to_string());
    }
}

#[test]
fn a_value_that_is_there_when_the_time_is_over_is_taken() {
    let clock = MockClock::new();
    let executor = builder(&clock).attempt_timeout(SECOND).build().unwrap();

    let answer: Answer = drive(&clock, executor.run("key", || after(&clock, SECOND, Ok(7))));

    assert_eq!((Ok(7), 0), (answer, executor.stats().timeouts), "at its deadline it is in time");
}

#[test]
fn a_value_that_comes_too_late_comes_out_and_is_a_failure_to_the_breaker() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 1);
    let executor = builder(&clock).circuit_breaker(breaker.clone()).attempt_timeout(SECOND);
    let executor = executor.build().unwrap();
    let slow = |span| {
        clock.sleep_blocking(span);
        Ok(7)
    };

    assert_eq!(Ok(7), executor.run_blocking("key", || slow(SECOND)));
    assert_eq!((CircuitState::Closed, 0), (breaker.state(), executor.stats().timeouts));
    let late = SECOND + Duration::from_nanos(1);
    assert_eq!(Ok(7), executor.run_blocking("key", || slow(late)));
    assert_eq!((CircuitState::Open, 1), (breaker.state(), executor.stats().timeouts));
    assert_eq!((2, 0), (executor.stats().successes, executor.stats().timed_out));
}

#[test]
fn an_error_that_comes_after_the_runs_time_is_the_last() {
    let clock = MockClock::new();
    let executor = builder(&clock).retry_policy(policy(9)).timeout(3 * SECOND).build().unwrap();

    let answer: Answer = executor.run_blocking("key", || {
        clock.sleep_blocking(4 * SECOND);
        Err("slow")
    });

    let Err(RunError::RetryExhausted(end)) = answer else { panic!("{answer:?}") };
    assert_eq!((1, "slow", StopReason::Deadline), (end.attempts, end.last_error, end.reason));
    assert_eq!((1, 1), (executor.stats().timeouts, executor.stats().out_of_time));
}

#[test]
fn a_wait_that_would_end_at_the_deadline_is_not_begun() {
    for (timeout, attempts) in [(2.0, 2), (2.000_000_001, 3)] {
        let clock = MockClock::new();
        let timeout = Duration::from_secs_f64(timeout);
        let executor = builder(&clock).retry_policy(policy(9)).timeout(timeout).build().unwrap();

        let answer: Answer = executor.run_blocking("key", || Err("busy"));

        let Err(RunError::RetryExhausted(end)) = answer else { panic!("{answer:?}") };
        assert_eq!((attempts, StopReason::Deadline), (end.attempts, end.reason));
        assert_eq!(f64::from(attempts) - 1.0, seconds(&clock));
    }
}

#[test]
fn quota_that_would_come_too_late_is_refused_at_once_and_nobody_hears_of_it() {
    let clock = MockClock::new();
    let (limiter, breaker) = (limiter(&clock, 0.2), breaker(&clock, 1));
    let executor = builder(&clock).limiter(limiter.clone()).circuit_breaker(breaker.clone());
    let executor = executor.timeout(5 * SECOND).build().unwrap();
    assert_eq!(Ok(7), executor.run_blocking("key", || Ok(7)));

    let answer: Answer = executor.run_blocking("key", || Ok(7));

    let Err(RunError::RateLimitExceeded(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!(RetryAfter::After(5 * SECOND), refusal.retry_after());
    assert_eq!((CircuitState::Closed, 0.0), (breaker.state(), seconds(&clock)));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Ok(7), executor.run_blocking("key", || Ok(7)), "a nanosecond less is in time");
}

#[test]
fn quota_for_another_attempt_that_would_come_too_late_ends_the_run_by_its_deadline() {
    let clock = MockClock::new();
    let executor = builder(&clock).limiter(limiter(&clock, 0.1)).retry_policy(policy(3));
    let executor = executor.charge(Charge::Attempt).timeout(8 * SECOND).build().unwrap();

    let answer: Answer = executor.run_blocking("key", || Err("busy"));

    let Err(RunError::RetryExhausted(end)) = answer else { panic!("{answer:?}") };
    assert_eq!((1, StopReason::Deadline, 1.0), (end.attempts, end.reason, seconds(&clock)));
}

#[test]
fn a_run_that_overslept_its_deadline_calls_nobody_and_tells_nobody() {
    let clock = MockClock::new();
    let (limiter, breaker) = (limiter(&clock, 1.0), breaker(&clock, 1));
    let executor = builder(&clock).limiter(limiter.clone()).circuit_breaker(breaker.clone());
    let executor = executor.timeout(2 * SECOND).build().unwrap();
    assert!(limiter.allow("key"));
    let mut run = pin!(executor.run("key", || async { panic!("it is too late") }));
    assert!(poll(run.as_mut()).is_none());

    clock.advance(2 * SECOND);
    let answer: Answer = poll(run.as_mut()).unwrap();

    let end = timed_out(TimeoutScope::Run, 2 * SECOND, 0);
    assert_eq!(Err(RunError::TimeoutExceeded(end)), answer);
    assert!(answer.unwrap_err().is_refusal());
    assert_eq!(CircuitState::Closed, breaker.state());
    assert_eq!((1, 1), (executor.stats().refused_by_timeout, executor.stats().refusals()));
    assert_eq!(1.0, limiter.tokens("key"), "what it had waited for went back");
    assert_eq!("the run's time of 2.00s was over before the first attempt", end.to_string());
}

#[test]
fn a_deadline_is_handed_on_to_a_run_within_an_attempt() {
    let clock = MockClock::new();
    let inner = builder(&clock).retry_policy(policy(9)).timeout(60 * SECOND).build().unwrap();
    let outer = ResilientExecutor::builder().clock(&clock).timeout(60 * SECOND);
    let outer = outer.attempt_timeout(3 * SECOND).build().unwrap();

    let answer: Result<u32, _> = outer.run_attempts_blocking("key", |attempt| {
        clock.sleep_blocking(SECOND);
        assert_eq!(Some(2 * SECOND), attempt.remaining());
        inner.run_until_blocking(&attempt.deadline().unwrap(), "key", |_| Err("busy"))
    });

    let Err(RunError::Failed(RunError::RetryExhausted(end))) = answer else { panic!("{answer:?}") };
    assert_eq!((2, StopReason::Deadline, 2.0), (end.attempts, end.reason, seconds(&clock)));
}

#[test]
fn a_deadline_of_another_clock_counts_by_what_is_left_of_it() {
    let (clock, other) = (MockClock::new(), MockClock::new());
    other.advance(77 * SECOND);
    let executor = builder(&clock).build().unwrap();
    let deadline = Deadline::after(3 * SECOND, other.clone());
    other.advance(SECOND);

    let hang = executor.run_until(&deadline, "key", |_| pending::<Result<u32, _>>());
    let answer: Answer = drive(&clock, hang);

    let end = timed_out(TimeoutScope::Run, 2 * SECOND, 1);
    assert_eq!((Err(RunError::TimeoutExceeded(end)), 2.0), (answer, seconds(&clock)));
}

#[test]
fn a_run_within_an_attempt_whose_time_is_over_says_nothing_about_the_other_side() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 1);
    let executor = ResilientExecutor::<TimeoutExceeded>::builder().clock(&clock);
    let executor = executor.circuit_breaker(breaker.clone()).build().unwrap();
    let over = |attempts| Err::<(), _>(timed_out(TimeoutScope::Run, SECOND, attempts));

    executor.run_blocking("key", || over(0)).unwrap_err();
    assert_eq!(CircuitState::Closed, breaker.state());
    executor.run_blocking("key", || over(1)).unwrap_err();
    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn an_attempt_knows_its_number_its_time_and_the_error_before() {
    let clock = MockClock::new();
    let executor = builder(&clock).retry_policy(policy(3)).build().unwrap();
    let seen = RefCell::new(Vec::new());

    let answer: Answer = executor.run_attempts_blocking("key", |attempt| {
        assert_eq!((None, true), (attempt.remaining(), attempt.deadline().is_none()));
        seen.borrow_mut().push((
            attempt.number(),
            attempt.elapsed(),
            attempt.last_error().copied(),
        ));
        clock.sleep_blocking(SECOND);
        if attempt.number() == 3 { Ok(3) } else { Err("busy") }
    });

    assert_eq!(Ok(3), answer);
    let busy = Some("busy");
    let expected = [(1, Duration::ZERO, None), (2, 2 * SECOND, busy), (3, 4 * SECOND, busy)];
    assert_eq!(expected[..], seen.borrow()[..]);
}

#[test]
fn a_dropped_run_leaves_neither_timer_nor_permit() {
    let clock = MockClock::new();
    let breaker = breaker(&clock, 1);
    breaker.record_failure();
    clock.advance(10 * SECOND);
    let executor = builder(&clock).circuit_breaker(breaker.clone()).attempt_timeout(SECOND);
    let executor = executor.build().unwrap();

    {
        let mut run = pin!(executor.run("key", pending::<Result<u32, _>>));
        assert!(poll(run.as_mut()).is_none());
        assert_eq!(Some(SECOND), clock.next_deadline());
    }

    assert_eq!(None, clock.next_deadline());
    assert_eq!((CircuitState::HalfOpen, true), (breaker.state(), breaker.allow()));
    assert_eq!((1, 0), (executor.stats().cancelled, executor.stats().timeouts));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let clock = MockClock::new();
    let refused = |builder: ResilientExecutorBuilder<&'static str>| {
        builder.build().map(drop).unwrap_err().to_string()
    };
    let century = "give a time above 0, 100 years at most";

    assert_eq!(
        format!("timeout is 0ns; {century}"),
        refused(builder(&clock).timeout(Duration::ZERO))
    );
    let long = builder(&clock).attempt_timeout(Duration::MAX);
    assert!(refused(long).ends_with(century));
    let crossed = builder(&clock).timeout(SECOND).attempt_timeout(2 * SECOND);
    let advice = "give at most the timeout of the whole run (1s)";
    assert_eq!(format!("attempt_timeout is 2s; {advice}"), refused(crossed));
    assert!(builder(&clock).timeout(SECOND).attempt_timeout(SECOND).build().is_ok());
}

#[test]
fn it_shows_its_timeouts() {
    let executor = builder(&MockClock::new()).timeout(3 * SECOND).attempt_timeout(SECOND);
    let shown = format!("{:?}", executor.build().unwrap());
    assert!(shown.contains("timeout: 3s, attempt_timeout: 1s"), "{shown}");
}
