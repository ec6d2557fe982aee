//! Calls through an adaptive limiter: what they tell it, and what they do not.

use std::future::{Future, pending};
use std::task::{Context, Poll, Waker};

use limitpal::{
    AdaptiveCalls, AdaptiveError, AdaptiveLimiter, AnyLimiter, MockClock, Rate, RateLimitExceeded,
    ResilientExecutor, RetryAfter, TokenBucket,
};

use super::{starting, throttled_at_100};

type Boxed = Box<dyn std::error::Error + Send + Sync>;

fn calls(limiter: &AdaptiveLimiter) -> AdaptiveCalls<fn(&u16) -> bool> {
    limiter.throttled_if(|status: &u16| *status == 429)
}

#[test]
fn a_value_raises_throttling_lowers_and_any_other_error_says_nothing() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);
    let calls = calls(&limiter);
    clock.advance(super::SECOND);
    let at = |limiter: &AdaptiveLimiter| limiter.rate("api");

    let start = at(&limiter);
    assert_eq!(Err(AdaptiveError::Failed(500)), calls.call_blocking("api", || Err::<(), _>(500)));
    assert_eq!(start, at(&limiter));
    assert_eq!(Ok(7), calls.call_blocking("api", || Ok(7)));
    let raised = at(&limiter);
    assert!(raised > start);
    assert_eq!(Err(AdaptiveError::Failed(429)), calls.call_blocking("api", || Err::<(), _>(429)));
    assert!(at(&limiter) < raised);
}

#[tokio::test]
async fn an_async_call_tells_the_same() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);
    clock.advance(super::SECOND);
    let calls = calls(&limiter);
    let start = limiter.rate("api");

    assert_eq!(Ok(7), calls.call("api", || async { Ok(7) }).await);
    let raised = limiter.rate("api");
    assert!(raised > start);
    clock.advance(super::SECOND);
    assert_eq!(
        Err(AdaptiveError::Failed(429)),
        calls.call("api", || async { Err::<(), _>(429) }).await
    );
    assert!(limiter.rate("api") < raised);
}

#[test]
fn refusals_of_ours_never_count_whatever_the_predicate_says() {
    let clock = MockClock::new();
    let limiter = starting(1000.0, &clock).build().unwrap();
    let empty = TokenBucket::builder(1, Rate::per_hour(1).unwrap()).clock(&clock).build().unwrap();
    assert!(empty.allow("api"));
    let ask = || empty.acquire_timeout_blocking("api", std::time::Duration::ZERO);

    let calls = limiter.throttled_if(|_: &RateLimitExceeded| true);
    assert!(calls.call_blocking("api", ask).is_err());
    clock.advance(super::SECOND);
    let calls = limiter.throttled_if(|_: &Boxed| true);
    assert!(calls.call_blocking("api", || ask().map_err(Boxed::from)).is_err());

    assert_eq!(1000.0, limiter.rate("api"));
}

#[test]
fn a_call_that_is_dropped_tells_nothing() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);
    clock.advance(super::SECOND);
    let (calls, start) = (calls(&limiter), limiter.rate("api"));

    let mut call = Box::pin(calls.call("api", pending::<Result<(), u16>>));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(Poll::Pending, call.as_mut().poll(&mut context));
    drop(call);

    assert_eq!(start, limiter.rate("api"));
}

#[test]
fn a_cost_above_the_burst_is_refused_and_the_function_is_not_called() {
    let clock = MockClock::new();
    let limiter = starting(1000.0, &clock).build().unwrap();
    let two = ("api", limitpal::Cost::new(2).unwrap());

    let refused = calls(&limiter).call_blocking(two, || -> Result<(), u16> { panic!("called") });

    let Err(AdaptiveError::RateLimitExceeded(refusal)) = refused else { panic!("{refused:?}") };
    assert_eq!(RetryAfter::Never, refusal.retry_after());
    assert_eq!(refusal.to_string(), refused.unwrap_err().to_string());
}

#[test]
fn an_executor_waits_for_it() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);
    let any: AnyLimiter = limiter.into();
    let executor =
        ResilientExecutor::<String>::builder().limiter(any).clock(&clock).build().unwrap();
    let start = clock.now();

    for _ in 0..71 {
        executor.run_blocking("api", || Ok::<_, String>(())).unwrap();
    }

    let took = clock.now().saturating_duration_since(start).as_secs_f64();
    assert!((0.99..1.01).contains(&took), "70 a second: {took} s");
}
