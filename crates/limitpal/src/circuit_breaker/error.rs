//! Why a call through a circuit breaker gave no value.

use std::error::Error;
use std::fmt;

use crate::refusal::CircuitBreakerOpen;

/// Why a call through a circuit breaker gave no value.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BreakerError<E> {
    /// The circuit is open; the function was not called.
    CircuitBreakerOpen(CircuitBreakerOpen),
    /// The function failed, with this error of its own.
    Failed(E),
}

impl<E> From<CircuitBreakerOpen> for BreakerError<E> {
    fn from(refusal: CircuitBreakerOpen) -> Self {
        Self::CircuitBreakerOpen(refusal)
    }
}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CircuitBreakerOpen(refusal) => refusal.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for BreakerError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::CircuitBreakerOpen(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}
