//! Windows beside buckets: in composites, and in executors.

use std::time::Duration;

use limitpal::{
    CompositeLimiter, FixedWindow, MockClock, Rate, ResilientExecutor, RetryAfter, RunError,
    SlidingWindowLog, TokenBucket,
};

use super::SECOND;

struct Parts {
    bucket: TokenBucket,
    log: SlidingWindowLog,
    fixed: FixedWindow,
    all: CompositeLimiter,
}

fn parts(clock: &MockClock) -> Parts {
    let rate = Rate::per_second(1.0).unwrap();
    let bucket = TokenBucket::builder(2, rate).clock(clock.clone()).build().unwrap();
    let log = SlidingWindowLog::builder(3, SECOND * 10).clock(clock.clone()).build().unwrap();
    let fixed = FixedWindow::builder(9, SECOND * 60).clock(clock.clone()).build().unwrap();
    let limiters = [bucket.clone().into(), log.clone().into(), fixed.clone().into()];
    let all = CompositeLimiter::new(limiters).unwrap();
    Parts { bucket, log, fixed, all }
}

#[test]
fn a_refused_composite_leaves_parts_of_every_kind_unchanged() {
    let clock = MockClock::new();
    let Parts { bucket, log, fixed, all } = parts(&clock);

    assert!(all.allow("ann") && all.allow("ann"));
    assert!(!all.allow("ann"), "the bucket is empty");
    assert_eq!((1, 7), (log.peek("ann").remaining, fixed.peek("ann").remaining));

    clock.advance(SECOND);
    assert!(all.allow("ann"));
    clock.advance(SECOND);
    let refused = all.check("ann");
    assert_eq!(RetryAfter::After(SECOND * 8), refused.retry_after, "the log is full");
    assert_eq!(1.0, bucket.tokens("ann"));
    assert_eq!(6, fixed.peek("ann").remaining);
}

#[test]
fn one_who_acquires_from_all_waits_for_the_longest() {
    let clock = MockClock::new();
    let Parts { log, all, .. } = parts(&clock);
    for _ in 0..3 {
        all.acquire_blocking("ann").unwrap();
    }
    assert_eq!(SECOND.as_nanos() as i64, clock.now().as_nanos(), "for the bucket");

    all.acquire_blocking("ann").unwrap();

    assert_eq!(10 * SECOND.as_nanos() as i64, clock.now().as_nanos(), "for the log");
    assert_eq!(1, log.peek("ann").remaining);
}

#[test]
fn a_window_that_is_given_twice_is_refused() {
    let log = SlidingWindowLog::new(3, SECOND).unwrap();

    let error = CompositeLimiter::new([log.clone().into(), log.into()]).unwrap_err();

    assert_eq!("limiters", error.parameter());
}

#[test]
fn an_executor_takes_quota_from_a_window() {
    let clock = MockClock::new();
    let limiter = SlidingWindowLog::builder(1, SECOND).clock(clock.clone()).build().unwrap();
    let executor = ResilientExecutor::<String>::builder()
        .limiter(limiter)
        .clock(clock.clone())
        .acquire_timeout(Duration::from_millis(1500))
        .build()
        .unwrap();
    let run = || executor.run_blocking("ann", || Ok::<_, String>(7));

    assert!(matches!((run(), run()), (Ok(7), Ok(7))));
    assert_eq!(SECOND.as_nanos() as i64, clock.now().as_nanos());
    let future = executor.run("bob", || async { Ok::<_, String>(8) });
    assert!(matches!(futures_util::FutureExt::now_or_never(future), Some(Ok(8))));
    assert!(matches!(run(), Ok(7)));
    let impatient = ResilientExecutor::<String>::builder()
        .limiter(SlidingWindowLog::builder(1, SECOND).clock(clock.clone()).build().unwrap())
        .clock(clock)
        .acquire_timeout(Duration::ZERO)
        .build()
        .unwrap();
    assert!(impatient.run_blocking("ann", || Ok::<_, String>(7)).is_ok());
    let refused = impatient.run_blocking("ann", || Ok::<_, String>(7));
    assert!(matches!(refused, Err(RunError::RateLimitExceeded(_))));
}
