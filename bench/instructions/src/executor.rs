//! The paths through an executor with every part, around a function that is ready at once.

use std::hint::black_box;
use std::time::Duration;

use limitpal::{
    Bulkhead, InvalidConfig, MockClock, ResilientExecutor, ResilientExecutorBuilder, RetryPolicy,
};

use crate::repeat::repeat;
use crate::{breaker, limiter, ready};

const KEY: &str = "user:00000000007";

pub(crate) fn blocking(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?.build()?;
    known(&executor);
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn timed(calls: usize) -> Result<(), InvalidConfig> {
    let second = Duration::from_secs(1);
    let executor = executor()?.timeout(2 * second).attempt_timeout(second).build()?;
    known(&executor);
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn guarded_blocking(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?.bulkhead(Bulkhead::new(10)?).build()?;
    known(&executor);
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn guarded_future(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?.bulkhead(Bulkhead::new(10)?).build()?;
    known(&executor);
    repeat(calls, || {
        ready::value(executor.run(black_box(KEY), || async { Ok(black_box(7)) })).is_ok()
    });
    Ok(())
}

pub(crate) fn future(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?.build()?;
    known(&executor);
    repeat(calls, || {
        ready::value(executor.run(black_box(KEY), || async { Ok(black_box(7)) })).is_ok()
    });
    Ok(())
}

fn executor() -> Result<ResilientExecutorBuilder<&'static str>, InvalidConfig> {
    Ok(ResilientExecutor::builder()
        .limiter(limiter::plenty()?)
        .retry_policy(RetryPolicy::default())
        .circuit_breaker(breaker::breaker()?)
        .clock(MockClock::new()))
}

/// Gives the key its bucket before anything is counted.
fn known(executor: &ResilientExecutor<&'static str>) {
    executor.run_blocking(KEY, || Ok(())).expect("nothing here refuses or fails");
}
