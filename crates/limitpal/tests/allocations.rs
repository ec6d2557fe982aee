//! What the heap sees of us: nothing of a call, admitted or refused.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::measure;
use limitpal::{
    AnyLimiter, BreakerError, Bulkhead, CircuitBreaker, ClientThrottle, ConcurrencyLimiter, Hedge,
    LeakyBucket, MockClock, Rate, ResilientExecutor, RetryPolicy, RunError, TokenBucket,
};

/// Polls once, as a task that is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there was nothing to wait for"),
    }
}

/// Asserts that `call` allocates nothing once everything it needs has been made.
fn allocates_nothing(what: &str, mut call: impl FnMut()) {
    (0..3).for_each(|_| call());
    let seen = measure(|| (0..100).for_each(|_| call()));
    assert_eq!(0, seen.count_total, "{what}: {seen:?} in 100 calls");
}

fn rate(per_second: f64) -> Rate {
    Rate::per_second(per_second).expect("it is in range")
}

/// A bucket of each kind with as many permits as nobody uses, or with none left for an hour.
fn limiters(is_empty: bool) -> Vec<AnyLimiter> {
    let (capacity, rate) = if is_empty { (1, rate(1.0 / 3600.0)) } else { (1_000_000, rate(1e6)) };
    let token = || TokenBucket::builder(capacity, rate);
    let mut built = vec![
        token().build(),
        token().clock(MockClock::new()).build(),
        token().per_key(false).build(),
        token().max_buckets(10).ttl(Duration::from_secs(7200)).build(),
    ]
    .into_iter()
    .map(|limiter| limiter.expect("the settings are in range").into())
    .collect::<Vec<AnyLimiter>>();
    built.push(LeakyBucket::new(capacity, rate).expect("the settings are in range").into());
    built.iter().for_each(|limiter| assert!(limiter.allow("user:7")));
    built
}

/// Limiter, retry and breaker.
fn executor(limiter: &AnyLimiter, breaker: &CircuitBreaker) -> ResilientExecutor<Infallible> {
    let builder = ResilientExecutor::builder().limiter(limiter.clone());
    let builder = builder.retry_policy(RetryPolicy::default()).acquire_timeout(Duration::ZERO);
    builder.circuit_breaker(breaker.clone()).build().expect("nothing is out of range")
}

fn breaker(failures: u32) -> CircuitBreaker {
    let breaker = CircuitBreaker::builder().failure_threshold(1).build();
    let breaker = breaker.expect("the options are in range");
    (0..failures).for_each(|_| breaker.record_failure());
    breaker
}

#[test]
fn what_is_allocated_is_seen() {
    let seen = measure(|| drop(std::hint::black_box(vec![7_u8; 5])));
    assert_eq!((1, 5, 0), (seen.count_total, seen.bytes_total, seen.bytes_current));
}

#[test]
fn an_admission_allocates_nothing() {
    for limiter in limiters(false) {
        allocates_nothing(&format!("allow, {limiter:?}"), || assert!(limiter.allow("user:7")));
        let check = || assert!(limiter.check("user:7").allowed);
        allocates_nothing(&format!("check, {limiter:?}"), check);
    }
    // A leaky bucket lets who acquires go one by one.
    for limiter in &limiters(false)[..4] {
        let acquire = || assert!(now(limiter.acquire("user:7")).is_ok());
        allocates_nothing(&format!("acquire, {limiter:?}"), acquire);
        let blocking = || assert!(limiter.acquire_blocking("user:7").is_ok());
        allocates_nothing(&format!("acquire_blocking, {limiter:?}"), blocking);
    }
}

#[test]
fn a_refusal_by_a_limiter_allocates_nothing() {
    for limiter in limiters(true) {
        allocates_nothing(&format!("allow, {limiter:?}"), || assert!(!limiter.allow("user:7")));
        let check = || assert!(!limiter.check("user:7").allowed);
        allocates_nothing(&format!("check, {limiter:?}"), check);
        let none = Duration::ZERO;
        let acquire = || assert!(now(limiter.acquire_timeout("user:7", none)).is_err());
        allocates_nothing(&format!("acquire, {limiter:?}"), acquire);
        let blocking = || assert!(limiter.acquire_timeout_blocking("user:7", none).is_err());
        allocates_nothing(&format!("acquire_blocking, {limiter:?}"), blocking);
    }
}

#[test]
fn a_run_that_succeeds_allocates_nothing() {
    for limiter in &limiters(false)[..4] {
        let executor = executor(limiter, &breaker(0));
        let run = || assert_eq!(Ok(7), now(executor.run("user:7", || ready(Ok(7)))));
        allocates_nothing(&format!("run, {limiter:?}"), run);
        let blocking = || assert_eq!(Ok(7), executor.run_blocking("user:7", || Ok(7)));
        allocates_nothing(&format!("run_blocking, {limiter:?}"), blocking);
    }
}

#[test]
fn a_run_through_a_bulkhead_allocates_nothing_and_a_full_one_neither() {
    let limiter = &limiters(false)[0];
    let bulkhead = Bulkhead::new(1).expect("the limit is in range");
    let builder = ResilientExecutor::<Infallible>::builder().limiter(limiter.clone());
    let builder = builder.retry_policy(RetryPolicy::default()).bulkhead(bulkhead.clone());
    let executor = builder.circuit_breaker(breaker(0)).build().expect("nothing is out of range");

    let run = || assert_eq!(Ok(7), now(executor.run("user:7", || ready(Ok(7)))));
    allocates_nothing("run", run);
    let blocking = || assert_eq!(Ok(7), executor.run_blocking("user:7", || Ok(7)));
    allocates_nothing("run_blocking", blocking);

    let _inside = bulkhead.try_acquire();
    let refused = |answer| matches!(answer, Err(RunError::BulkheadFull(_)));
    let run = || assert!(refused(now(executor.run("user:7", || ready(Ok(7))))));
    allocates_nothing("run, full", run);
    let blocking = || assert!(refused(executor.run_blocking("user:7", || Ok(7))));
    allocates_nothing("run_blocking, full", blocking);
}

#[test]
fn a_run_with_timeouts_that_is_ready_at_once_allocates_nothing() {
    let second = Duration::from_secs(1);
    for limiter in &limiters(false)[..4] {
        let builder = ResilientExecutor::<Infallible>::builder().limiter(limiter.clone());
        let builder = builder.retry_policy(RetryPolicy::default()).circuit_breaker(breaker(0));
        let executor = builder.timeout(2 * second).attempt_timeout(second).build();
        let executor = executor.expect("nothing is out of range");
        let run = || assert_eq!(Ok(7), now(executor.run("user:7", || ready(Ok(7)))));
        allocates_nothing(&format!("run, {limiter:?}"), run);
        let blocking = || assert_eq!(Ok(7), executor.run_blocking("user:7", || Ok(7)));
        allocates_nothing(&format!("run_blocking, {limiter:?}"), blocking);
        let told = || {
            let answer = executor.run_attempts("user:7", |attempt| ready(Ok(attempt.number())));
            assert_eq!(Ok(1), now(answer));
        };
        allocates_nothing(&format!("run_attempts, {limiter:?}"), told);
    }
}

#[test]
fn a_run_that_could_be_hedged_and_is_ready_at_once_allocates_nothing() {
    let hedge = Hedge::builder().delay(Duration::from_millis(100)).percentile(95.0);
    let hedge = hedge.min_samples(10).build().expect("the options are in range");
    let executor: ResilientExecutor<Infallible> = ResilientExecutor::builder()
        .hedge(hedge)
        .circuit_breaker(breaker(0))
        .build()
        .expect("nothing is out of range");
    let run = || assert_eq!(Ok(7), now(executor.run("user:7", || ready(Ok(7)))));
    allocates_nothing("run", run);
}

#[test]
fn a_run_refused_by_the_limiter_allocates_nothing() {
    for limiter in limiters(true) {
        let executor = executor(&limiter, &breaker(0));
        let refused = |answer| matches!(answer, Err(RunError::RateLimitExceeded(_)));
        let run = || assert!(refused(now(executor.run("user:7", || ready(Ok(7))))));
        allocates_nothing(&format!("run, {limiter:?}"), run);
        let blocking = || assert!(refused(executor.run_blocking("user:7", || Ok(7))));
        allocates_nothing(&format!("run_blocking, {limiter:?}"), blocking);
    }
}

#[test]
fn an_open_breaker_refuses_without_allocating() {
    let open = breaker(1);
    let executor = executor(&limiters(false)[0], &open);
    let refused = |answer| matches!(answer, Err(RunError::CircuitBreakerOpen(_)));
    let run = || assert!(refused(now(executor.run("user:7", || ready(Ok(7))))));
    allocates_nothing("run", run);
    let blocking = || assert!(refused(executor.run_blocking("user:7", || Ok(7))));
    allocates_nothing("run_blocking", blocking);

    allocates_nothing("allow", || assert!(!open.allow()));
    let refused = |answer| matches!(answer, Err(BreakerError::<Infallible>::CircuitBreakerOpen(_)));
    allocates_nothing("call", || assert!(refused(now(open.call(|| ready(Ok(7)))))));
    allocates_nothing("call_blocking", || assert!(refused(open.call_blocking(|| Ok(7)))));
}

#[test]
fn a_closed_breaker_admits_without_allocating() {
    let breaker = breaker(0);
    let call = || assert!(now(breaker.call(|| ready(Ok::<_, Infallible>(7)))).is_ok());
    allocates_nothing("call", call);
    let blocking = || assert!(breaker.call_blocking(|| Ok::<_, Infallible>(7)).is_ok());
    allocates_nothing("call_blocking", blocking);
}

#[test]
fn a_throttle_neither_sends_nor_refuses_with_an_allocation() {
    let throttle = ClientThrottle::builder().seed(7).build().expect("the defaults are in range");

    allocates_nothing("a call that is answered", || {
        let _ = throttle.call_blocking(|| Ok::<_, &str>(()));
    });
    throttle.reset();
    throttle.record_rejection();
    allocates_nothing("a lot", || {
        throttle.allow();
    });
    assert!(throttle.rejection_probability() > 0.0);
}

#[test]
fn a_permit_that_is_there_or_not_allocates_nothing() {
    for per_key in [true, false] {
        let limiter = ConcurrencyLimiter::builder(1).per_key(per_key).build();
        let limiter = limiter.expect("it is more than 0");
        allocates_nothing("try_acquire", || assert!(limiter.try_acquire("user:7").is_some()));
        let acquire = || assert!(now(limiter.acquire("user:7")).is_ok());
        allocates_nothing("acquire", acquire);
        let blocking = || assert!(limiter.acquire_blocking("user:7").is_ok());
        allocates_nothing("acquire_blocking", blocking);

        let _held = limiter.try_acquire("user:7");
        allocates_nothing("try_acquire", || assert!(limiter.try_acquire("user:7").is_none()));
        let none = Duration::ZERO;
        let acquire = || assert!(now(limiter.acquire_timeout("user:7", none)).is_err());
        allocates_nothing("acquire_timeout", acquire);
    }
}

/// Returns the bytes of an acquire that waits: of the future, and of what it puts on the heap.
fn bytes_of_one_who_waits(limiter: &AnyLimiter) -> u64 {
    const MANY: u64 = 100_000;
    assert!(limiter.allow("user:7"));
    let mut waiting: Vec<_> = (0..MANY).map(|_| Box::pin(limiter.acquire("user:7"))).collect();
    let mut context = Context::from_waker(Waker::noop());
    let seen = measure(|| {
        waiting
            .iter_mut()
            .for_each(|acquire| assert!(acquire.as_mut().poll(&mut context).is_pending()));
    });
    let size = size_of_val(&*waiting[0]) as u64;
    // Who came last leaves first, so that nobody is woken.
    while waiting.pop().is_some() {}
    size + seen.bytes_current.unsigned_abs() / MANY
}

#[test]
fn one_of_a_hundred_thousand_who_wait_takes_less_than_300_bytes() {
    let token = || TokenBucket::builder(1, rate(1.0 / 60.0));
    let mock = token().clock(MockClock::new()).build().expect("the settings are in range");
    let bytes = bytes_of_one_who_waits(&mock.into());
    assert!(bytes < 300, "{bytes} with a mock clock");

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("there is a clock");
    // Entered, not run: a running task may start a few timers at a time only.
    let _inside = runtime.enter();
    let timed = token().build().expect("the settings are in range");
    let bytes = bytes_of_one_who_waits(&timed.into());
    assert!(bytes < 300, "{bytes} with tokio's timer, which is as large as the rest");
}
