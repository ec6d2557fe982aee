//! Why a call through a client throttle gave no value.

use std::error::Error;
use std::fmt;

use crate::refusal::RateLimitExceeded;

/// Why a call through a client throttle gave no value.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ThrottleError<E> {
    /// The lot fell against it; the function was not called.
    RateLimitExceeded(RateLimitExceeded),
    /// The function failed, with this error of its own.
    Failed(E),
}

impl<E> From<RateLimitExceeded> for ThrottleError<E> {
    fn from(refusal: RateLimitExceeded) -> Self {
        Self::RateLimitExceeded(refusal)
    }
}

impl<E: fmt::Display> fmt::Display for ThrottleError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimitExceeded(refusal) => refusal.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for ThrottleError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::RateLimitExceeded(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}
