//! The paths through an executor with every part, around a function that is ready at once.

use std::hint::black_box;

use limitpal::{InvalidConfig, ResilientExecutor, RetryPolicy};

use crate::repeat::repeat;
use crate::{breaker, limiter, ready};

const KEY: &str = "user:00000000007";

pub(crate) fn blocking(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?;
    repeat(calls, || executor.run_blocking(black_box(KEY), || Ok(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn future(calls: usize) -> Result<(), InvalidConfig> {
    let executor = executor()?;
    repeat(calls, || {
        ready::value(executor.run(black_box(KEY), || async { Ok(black_box(7)) })).is_ok()
    });
    Ok(())
}

fn executor() -> Result<ResilientExecutor<&'static str>, InvalidConfig> {
    let executor = ResilientExecutor::builder()
        .limiter(limiter::plenty()?)
        .retry_policy(RetryPolicy::default())
        .circuit_breaker(breaker::breaker()?)
        .build()?;
    // The key gets its bucket before anything is counted.
    executor.run_blocking(KEY, || Ok(())).expect("nothing here refuses or fails");
    Ok(executor)
}
