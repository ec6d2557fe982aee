//! A refusal says who has refused, how that one stood, and what would change it.

use std::time::Duration;

use limitpal::{
    BreakerError, CircuitBreaker, CompositeLimiter, ConcurrencyLimiter, Cost, HoldingLimiter,
    MockClock, OpenReason, Rate, ResilientExecutor, RetryAfter, RetryPolicy, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);

fn bucket(capacity: u32, clock: &MockClock) -> TokenBucket {
    let rate = Rate::per_second(1.0).unwrap();
    TokenBucket::builder(capacity, rate).clock(clock).build().unwrap()
}

#[test]
fn of_several_limiters_it_names_the_one_with_the_longest_wait() {
    let clock = MockClock::new();
    let parts = [bucket(9, &clock).into(), bucket(2, &clock).into()];
    let limiter = CompositeLimiter::new(parts).unwrap();
    let _answers = limiter.allow_many(["ann", "ann"]);
    let refusal = limiter.acquire_timeout_blocking("ann", Duration::ZERO).unwrap_err();

    let explained = limiter.explain("ann", refusal);
    assert_eq!(("TokenBucket", Some("ann")), (explained.part, explained.key.as_deref()));
    assert_eq!(RetryAfter::After(SECOND), explained.retry_after);
    let expected = [("limit", "2"), ("remaining", "0"), ("cost", "1")];
    assert_eq!(expected.map(|(name, value)| (name, value.to_owned())), explained.state[..]);
}

#[test]
fn a_cost_that_is_never_served_is_to_be_lowered() {
    let limiter = bucket(3, &MockClock::new());
    let ask = ("ann", Cost::new(4).unwrap());
    let refusal = limiter.acquire_timeout_blocking(ask, SECOND).unwrap_err();

    let change = limiter.explain(ask, refusal).change;
    assert_eq!("lower the cost to 3 at most, or raise the limit", change);
}

#[test]
fn a_pool_says_how_many_are_at_it() {
    let pool = ConcurrencyLimiter::new(2).unwrap();
    let limiter = HoldingLimiter::from(pool);
    let _permits = [limiter.try_acquire("db"), limiter.try_acquire("db")];
    let refusal = limiter.acquire_timeout_blocking("db", Duration::ZERO).unwrap_err();

    assert_eq!(
        "ConcurrencyLimiter refused \"db\": limit 2, in flight 2, waiting 0; come back when others \
         have given back; nobody can say when",
        limiter.explain("db", refusal).to_string(),
    );
}

#[test]
fn a_circuit_says_why_it_refuses_in_each_of_its_states() {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(2).clock(&clock).build().unwrap();
    let refused = || match breaker.call_blocking(|| Ok::<_, ()>(())) {
        Err(BreakerError::CircuitBreakerOpen(refusal)) => refusal,
        answer => panic!("{answer:?}"),
    };
    breaker.record_failure();
    breaker.record_failure();
    let open = refused();
    assert_eq!((OpenReason::Open, 1, 2), (open.reason(), open.trips(), open.failures()));
    assert_eq!(Some(5 * SECOND), open.retry_after());
    assert!(breaker.explain(open).to_string().contains("threshold 2"));

    clock.advance(5 * SECOND);
    assert!(breaker.allow());
    assert_eq!(OpenReason::Probing, refused().reason());

    breaker.record_failure();
    assert_eq!(
        (OpenReason::Open, 2, 2),
        (refused().reason(), refused().trips(), refused().failures())
    );

    breaker.force_open();
    assert_eq!((OpenReason::Forced, None), (refused().reason(), refused().retry_after()));
    assert!(refused().explain().to_string().contains("forced_open"));
}

#[test]
fn an_executor_explains_whichever_part_has_stopped_a_run() {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(&clock).build().unwrap();
    let builder = ResilientExecutor::builder().circuit_breaker(breaker).limiter(bucket(1, &clock));
    let policy = RetryPolicy::default();
    let executor = builder.retry_policy(policy).acquire_timeout(Duration::ZERO).build().unwrap();
    let part = |answer: &'static str| {
        let run =
            executor.run_blocking("api", || if answer.is_empty() { Ok(()) } else { Err(answer) });
        executor.explain("api", &run.unwrap_err()).map(|explained| explained.part)
    };

    executor.run_blocking("api", || Ok(())).unwrap();
    assert_eq!(Some("TokenBucket"), part(""));
    clock.advance(SECOND);
    assert_eq!(Some("RetryPolicy"), part("down"));
    assert_eq!(Some("CircuitBreaker"), part("down"));
}
