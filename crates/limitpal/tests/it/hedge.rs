//! Hedges: another try of what is slow, the first value wins, and the load stays bounded.

mod behind_bulkhead;
mod figures;
mod laws;
mod threads;
mod timeouts;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    Charge, CircuitBreaker, CircuitState, Clock, ConcurrencyLimiter, Hedge, HedgeBuilder, Instant,
    MockClock, Rate, RateLimitExceeded, ResilientExecutor, ResilientExecutorBuilder, RetryBudget,
    RetryPolicy, RunError, TokenBucket,
};

const MS: Duration = Duration::from_millis(1);

/// What a try does: after so long it gives this.
type Line<E> = (Duration, Result<&'static str, E>);

/// A function that does as told, the last line again and again, and knows what became of its tries.
struct Service<E> {
    clock: MockClock,
    lines: Vec<Line<E>>,
    began: RefCell<Vec<Instant>>,
    under_way: Cell<usize>,
}

/// One try; dropped before it is ready, it is no longer under way.
struct Try<'s, E> {
    service: &'s Service<E>,
    sleep: limitpal::Sleep,
    answer: Option<Result<&'static str, E>>,
}

impl<E: Clone> Service<E> {
    fn new(clock: &MockClock, lines: impl Into<Vec<Line<E>>>) -> Self {
        let (began, under_way) = (RefCell::default(), Cell::new(0));
        Self { clock: clock.clone(), lines: lines.into(), began, under_way }
    }

    fn call(&self) -> Try<'_, E> {
        let mut began = self.began.borrow_mut();
        let (after, answer) = self.lines[began.len().min(self.lines.len() - 1)].clone();
        began.push(self.clock.now());
        self.under_way.set(self.under_way.get() + 1);
        Try { service: self, sleep: self.clock.sleep(after), answer: Some(answer) }
    }

    /// Returns when the tries began, in milliseconds.
    fn began(&self) -> Vec<i64> {
        self.began.borrow().iter().map(|at| at.as_nanos() / 1_000_000).collect()
    }
}

impl<E: Unpin> Future for Try<'_, E> {
    type Output = Result<&'static str, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.sleep.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(self.answer.take().unwrap()),
        }
    }
}

impl<E> Drop for Try<'_, E> {
    fn drop(&mut self) {
        self.service.under_way.set(self.service.under_way.get() - 1);
    }
}

/// Runs a future to its end, moving the clock from deadline to deadline.
fn drive<F: Future>(clock: &MockClock, future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        clock.advance(clock.next_deadline().expect("somebody sleeps"));
    }
}

fn after(delay: Duration) -> HedgeBuilder {
    Hedge::builder().delay(delay)
}

fn hedged<E>(clock: &MockClock, hedge: HedgeBuilder) -> ResilientExecutorBuilder<E> {
    ResilientExecutor::builder().clock(clock).hedge(hedge.build().unwrap())
}

fn ok(after: Duration) -> Line<&'static str> {
    (after, Ok("value"))
}

fn err(after: Duration, error: &'static str) -> Line<&'static str> {
    (after, Err(error))
}

#[test]
fn a_slow_try_gets_another_and_the_first_value_wins() {
    let clock = MockClock::new();
    let executor = hedged(&clock, after(100 * MS)).build().unwrap();
    let service = Service::new(&clock, [(3000 * MS, Ok("slow")), (20 * MS, Ok::<_, &str>("fast"))]);

    let answer = drive(&clock, executor.run("api", || service.call()));

    assert_eq!(Ok("fast"), answer);
    assert_eq!(vec![0, 100], service.began());
    assert_eq!(120, clock.now().as_nanos() / 1_000_000);
    assert_eq!(0, service.under_way.get(), "the loser was dropped");
    assert_eq!(None, clock.next_deadline(), "no timer is left");
    let stats = executor.stats();
    let counts = (stats.calls, stats.firsts, stats.hedges, stats.hedge_wins, stats.attempts);
    assert_eq!((1, 1, 1, 1, 2), counts);
}

#[test]
fn what_is_there_in_time_gets_no_hedge() {
    let clock = MockClock::new();
    let executor = hedged(&clock, after(100 * MS)).build().unwrap();
    let service = Service::new(&clock, [ok(100 * MS)]);

    // At the very instant at which the hedge is due, the answer is taken first.
    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));

    assert_eq!(vec![0], service.began());
    assert_eq!(None, clock.next_deadline());
    assert_eq!(0, executor.stats().hedges);
}

#[test]
fn several_hedges_start_a_delay_apart() {
    let clock = MockClock::new();
    let executor = hedged(&clock, after(100 * MS).max_hedges(3)).build().unwrap();
    let service = Service::new(&clock, [ok(9000 * MS)]);

    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));

    assert_eq!(vec![0, 100, 200, 300], service.began());
    assert_eq!((3, 0), (executor.stats().hedges, executor.stats().hedge_wins));
    assert_eq!(0, service.under_way.get());
}

#[test]
fn with_no_delay_they_start_together_unless_the_first_is_ready() {
    let clock = MockClock::new();
    let executor = hedged(&clock, after(Duration::ZERO).max_hedges(2)).build().unwrap();
    let service = Service::new(&clock, [ok(MS)]);
    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
    assert_eq!(vec![0, 0, 0], service.began());

    let service = Service::new(&clock, [ok(Duration::ZERO)]);
    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
    assert_eq!(1, service.began().len());
}

#[test]
fn a_failure_waits_for_the_tries_under_way_and_is_no_reason_for_another() {
    let clock = MockClock::new();
    let run = |lines: &[Line<&'static str>]| {
        let executor = hedged(&clock, after(100 * MS).max_hedges(2)).build().unwrap();
        let service = Service::new(&clock, lines);
        let answer = drive(&clock, executor.run("api", || service.call()));
        (answer, service.began().len())
    };

    let failed = |error| Err(RunError::Failed(error));
    assert_eq!((Ok("value"), 2), run(&[err(150 * MS, "one"), ok(80 * MS)]));
    assert_eq!((Ok("value"), 2), run(&[ok(180 * MS), err(MS, "two")]));
    assert_eq!((failed("one"), 1), run(&[err(50 * MS, "one"), ok(MS)]));
    // All have failed: the earliest try's error, whichever came last.
    assert_eq!((failed("one"), 2), run(&[err(150 * MS, "one"), err(60 * MS, "two")]));
    assert_eq!((failed("one"), 2), run(&[err(190 * MS, "one"), err(60 * MS, "two")]));
}

#[test]
fn an_error_that_is_not_retried_ends_the_attempt_at_once() {
    let clock = MockClock::new();
    let policy = RetryPolicy::builder().retry_if(|error: &&str| *error != "wrong").max_attempts(1);
    let builder = hedged(&clock, after(100 * MS)).retry_policy(policy.build().unwrap());
    let executor = builder.build().unwrap();
    let service = Service::new(&clock, [ok(900 * MS), err(20 * MS, "wrong")]);

    let answer = drive(&clock, executor.run("api", || service.call()));

    assert_eq!(Err(RunError::Failed("wrong")), answer);
    assert_eq!(120, clock.now().as_nanos() / 1_000_000);
}

#[test]
fn a_refusal_of_ours_says_nothing_where_another_try_has_an_error() {
    let refused = || Err::<&'static str, _>(RateLimitExceeded::new(limitpal::RetryAfter::Unknown));
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone());
    let breaker = breaker.build().unwrap();
    let run = |lines: [Line<RateLimitExceeded>; 2]| {
        let executor = hedged(&clock, after(100 * MS)).circuit_breaker(breaker.clone());
        let (executor, service) = (executor.build().unwrap(), Service::new(&clock, lines));
        drive(&clock, executor.run("api", || service.call()))
    };

    assert_eq!(Ok("value"), run([(200 * MS, Ok("value")), (MS, refused())]));
    assert!(run([(200 * MS, refused()), (MS, refused())]).is_err());
    assert_eq!(CircuitState::Closed, breaker.state(), "refusals of ours count nothing");
}

#[test]
fn a_breaker_and_a_retry_policy_see_one_attempt() {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(2).clock(clock.clone());
    let breaker = breaker.build().unwrap();
    let policy = RetryPolicy::builder().max_attempts(2).base_delay(Duration::ZERO);
    let executor = hedged(&clock, after(100 * MS))
        .circuit_breaker(breaker.clone())
        .retry_policy(policy.build().unwrap())
        .build()
        .unwrap();
    let service = Service::new(&clock, [err(150 * MS, "down")]);

    let end = drive(&clock, executor.run("api", || service.call())).unwrap_err();

    let RunError::RetryExhausted(end) = end else { panic!("{end:?}") };
    assert_eq!(2, end.attempts);
    assert_eq!(CircuitState::Closed, breaker.state(), "four tries failed, and one run");
    let stats = executor.stats();
    assert_eq!((1, 1, 2, 4), (stats.firsts, stats.retries, stats.hedges, stats.attempts));
}

#[test]
fn a_hedge_takes_quota_where_attempts_do_and_waits_for_none() {
    let clock = MockClock::new();
    for (charge, tries) in [(Charge::Call, vec![0, 100, 200]), (Charge::Attempt, vec![0, 100])] {
        let clock = MockClock::new();
        let bucket = TokenBucket::builder(2, Rate::per_second(0.001).unwrap()).clock(&clock);
        let bucket = bucket.build().unwrap();
        let executor = hedged(&clock, after(100 * MS).max_hedges(2))
            .limiter(bucket.clone())
            .charge(charge)
            .build()
            .unwrap();
        let service = Service::new(&clock, [ok(900 * MS)]);

        assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));

        assert_eq!(tries, service.began(), "{charge}");
    }
    // What is refused is given back to the cap, too.
    let empty = ConcurrencyLimiter::builder(1).build().unwrap();
    let executor = hedged(&clock, after(100 * MS).max_extra_load(0.0).minimum_per_second(0.034))
        .limiter(empty.clone())
        .charge(Charge::Attempt)
        .build()
        .unwrap();
    let service = Service::new(&clock, [ok(900 * MS)]);
    for _ in 0..3 {
        assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
    }
    assert_eq!(0, executor.stats().hedges);
    empty.set_limit(2).unwrap();
    for _ in 0..2 {
        assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
    }
    assert_eq!(1, executor.stats().hedges, "one of 0 * calls + 0.034 * 30");
    assert_eq!(0, empty.in_flight("api"), "the permits are back");
}

#[test]
fn a_hedge_holds_a_permit_of_its_own_where_attempts_do_until_it_ends() {
    let clock = MockClock::new();
    let limiter = ConcurrencyLimiter::builder(2).build().unwrap();
    let executor = hedged(&clock, after(100 * MS))
        .limiter(limiter.clone())
        .charge(Charge::Attempt)
        .build()
        .unwrap();
    let service = Service::new(&clock, [ok(900 * MS), err(50 * MS, "down")]);
    {
        let mut run = pin!(executor.run("api", || service.call()));
        let mut inside = |forward: Duration| {
            clock.advance(forward);
            let _ = run.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            limiter.in_flight("api")
        };

        assert_eq!([1, 2, 1], [inside(Duration::ZERO), inside(100 * MS), inside(50 * MS)]);
    }
    assert_eq!(0, limiter.in_flight("api"));
}

#[test]
fn nonsense_is_refused_by_name() {
    let says = |hedge: HedgeBuilder| hedge.build().unwrap_err().to_string();

    assert_eq!(
        "delay is missing; give a time, or a percentile of the latency",
        says(Hedge::builder())
    );
    for bad in [0.0, -1.0, 100.0, f64::NAN, f64::INFINITY] {
        let expected = format!("percentile is {bad}; give a number above 0 and below 100");
        assert_eq!(expected, says(Hedge::builder().percentile(bad)));
    }
    for bad in [-0.1, 1.1, f64::NAN] {
        let expected = format!("max_extra_load is {bad}; give a number from 0 to 1");
        assert_eq!(expected, says(after(MS).max_extra_load(bad)));
    }
    for bad in [0, 11] {
        let expected = format!("max_hedges is {bad}; give a whole number from 1 to 10");
        assert_eq!(expected, says(after(MS).max_hedges(bad)));
    }
    assert!(says(after(MS).min_samples(0)).starts_with("min_samples is 0; "));
    assert!(says(after(MS).minimum_per_second(-1.0)).starts_with("minimum_per_second is -1; "));
    assert!(says(after(MS).window(Duration::ZERO)).starts_with("window is 0ns; "));
    assert!(says(after(Duration::MAX)).starts_with("delay is "));
}
