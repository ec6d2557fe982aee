//! Calls through an adaptive limiter that record what comes of them.

use std::error::Error;
use std::fmt;
use std::future::Future;

use super::AdaptiveLimiter;
use crate::algorithm::Heard;
use crate::limiter::Ask;
use crate::refusal::{RateLimitExceeded, is_own_refusal};

/// Calls functions through an [`AdaptiveLimiter`], and tells it what the other side said.
///
/// It is made by [`AdaptiveLimiter::throttled_if`], which has an example, and shares its limiter.
/// Refusals of ours from within (`RateLimitExceeded`, `CircuitBreakerOpen`, `InvalidConfig`, also in
/// a `Box<dyn Error + Send + Sync>`), panics and calls that are dropped tell nothing.
#[derive(Clone)]
pub struct AdaptiveCalls<P> {
    limiter: AdaptiveLimiter,
    throttled_if: P,
}

impl<P> AdaptiveCalls<P> {
    pub(super) fn new(limiter: AdaptiveLimiter, throttled_if: P) -> Self {
        Self { limiter, throttled_if }
    }

    /// Waits for the turn, calls the function, and records what came of it. No lock is held while
    /// the function runs.
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded` for a cost above the burst.
    pub fn call_blocking<'k, T, E: 'static>(
        &self,
        ask: impl Into<Ask<'k>>,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, AdaptiveError<E>>
    where
        P: Fn(&E) -> bool,
    {
        let ask = ask.into();
        self.limiter.acquire_blocking(ask)?;
        self.record(ask, function())
    }

    /// As [`call_blocking`](Self::call_blocking), for a function that returns a future.
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded` for a cost above the burst.
    pub async fn call<'k, T, E, F, Answered>(
        &self,
        ask: impl Into<Ask<'k>>,
        function: F,
    ) -> Result<T, AdaptiveError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answered,
        Answered: Future<Output = Result<T, E>>,
        P: Fn(&E) -> bool,
    {
        let ask = ask.into();
        self.limiter.acquire(ask).await?;
        self.record(ask, function().await)
    }

    fn record<T, E: 'static>(
        &self,
        ask: Ask<'_>,
        result: Result<T, E>,
    ) -> Result<T, AdaptiveError<E>>
    where
        P: Fn(&E) -> bool,
    {
        match &result {
            Ok(_) => self.limiter.hear(ask.key(), Heard::Success),
            Err(error) if is_own_refusal(error) => {}
            Err(error) if (self.throttled_if)(error) => {
                self.limiter.hear(ask.key(), Heard::Throttled);
            }
            Err(_) => {}
        }
        result.map_err(AdaptiveError::Failed)
    }
}

impl<P> fmt::Debug for AdaptiveCalls<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdaptiveCalls").field("limiter", &self.limiter).finish_non_exhaustive()
    }
}

/// Why a call through an adaptive limiter gave no value.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AdaptiveError<E> {
    /// Its cost is above the burst; the function was not called.
    RateLimitExceeded(RateLimitExceeded),
    /// The function failed, with this error of its own.
    Failed(E),
}

impl<E> From<RateLimitExceeded> for AdaptiveError<E> {
    fn from(refusal: RateLimitExceeded) -> Self {
        Self::RateLimitExceeded(refusal)
    }
}

impl<E: fmt::Display> fmt::Display for AdaptiveError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateLimitExceeded(refusal) => refusal.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: Error + 'static> Error for AdaptiveError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::RateLimitExceeded(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}
