//! The paths through a circuit breaker.

use std::hint::black_box;

use limitpal::{BreakerError, CircuitBreaker, CircuitState, InvalidConfig, MockClock};

use crate::repeat::repeat;

pub(crate) fn closed(calls: usize) -> Result<(), InvalidConfig> {
    let breaker = breaker()?;
    repeat(calls, || breaker.call_blocking(|| Ok::<_, ()>(black_box(7))).is_ok());
    Ok(())
}

pub(crate) fn open(calls: usize) -> Result<(), InvalidConfig> {
    let breaker = opened()?;
    repeat(calls, || {
        let answer = breaker.call_blocking(|| Ok::<_, ()>(black_box(7)));
        matches!(answer, Err(BreakerError::CircuitBreakerOpen(_)))
    });
    Ok(())
}

/// Makes a breaker that is open, and stays so.
pub(crate) fn opened() -> Result<CircuitBreaker, InvalidConfig> {
    let breaker = breaker()?;
    while breaker.state() != CircuitState::Open {
        breaker.record_failure();
    }
    Ok(breaker)
}

/// Makes a breaker, closed, for which time stands still.
pub(crate) fn breaker() -> Result<CircuitBreaker, InvalidConfig> {
    CircuitBreaker::builder().clock(MockClock::new()).build()
}
