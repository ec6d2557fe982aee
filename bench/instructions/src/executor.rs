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

pub(crate) fn five_blocking(calls: usize) -> Result<(), InvalidConfig> {
    let executor = five_stages()?;
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn five_future(calls: usize) -> Result<(), InvalidConfig> {
    let executor = five_stages()?;
    repeat(calls, || {
        ready::value(executor.run(black_box(KEY), || async { Ok(black_box(7)) })).is_ok()
    });
    Ok(())
}

pub(crate) fn refused_blocking(calls: usize) -> Result<(), InvalidConfig> {
    let executor = shut()?;
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_err());
    Ok(())
}

pub(crate) fn refused_future(calls: usize) -> Result<(), InvalidConfig> {
    let executor = shut()?;
    repeat(calls, || {
        ready::value(executor.run(black_box(KEY), || async { Ok(black_box(7)) })).is_err()
    });
    Ok(())
}

/// Makes one whose circuit is open.
fn shut() -> Result<ResilientExecutor<&'static str>, InvalidConfig> {
    let breaker = breaker::opened()?;
    executor()?.circuit_breaker(breaker).build()
}

/// Makes one with times and a bulkhead besides.
fn five_stages() -> Result<ResilientExecutor<&'static str>, InvalidConfig> {
    let second = Duration::from_secs(1);
    let builder = executor()?.bulkhead(Bulkhead::new(10)?);
    let executor = builder.timeout(2 * second).attempt_timeout(second).build()?;
    known(&executor);
    Ok(executor)
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
