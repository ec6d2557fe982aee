//! Calls through a client throttle that tell rejections from other errors.

use std::fmt;
use std::future::Future;

use super::ClientThrottle;
use super::error::ThrottleError;

/// Calls functions through a [`ClientThrottle`], and tells rejections from other errors.
///
/// It is made by [`ClientThrottle::reject_if`], which has an example, and shares its throttle.
#[derive(Clone)]
pub struct ThrottledCalls<P> {
    throttle: ClientThrottle,
    reject_if: P,
}

impl<P> ThrottledCalls<P> {
    pub(super) fn new(throttle: ClientThrottle, reject_if: P) -> Self {
        Self { throttle, reject_if }
    }

    /// As [`ClientThrottle::call_blocking`], but an error that is no rejection is an accept.
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded`; nobody can say for how long.
    pub fn call_blocking<T, E: 'static>(
        &self,
        function: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, ThrottleError<E>>
    where
        P: Fn(&E) -> bool,
    {
        let attempt = self.throttle.attempt()?;
        attempt.settle(function(), &self.reject_if)
    }

    /// As [`ClientThrottle::call`], but an error that is no rejection is an accept.
    ///
    /// # Errors
    ///
    /// The function's own, or `RateLimitExceeded`; nobody can say for how long.
    pub async fn call<T, E, F, Answered>(&self, function: F) -> Result<T, ThrottleError<E>>
    where
        E: 'static,
        F: FnOnce() -> Answered,
        Answered: Future<Output = Result<T, E>>,
        P: Fn(&E) -> bool,
    {
        let attempt = self.throttle.attempt()?;
        attempt.settle(function().await, &self.reject_if)
    }
}

impl<P> fmt::Debug for ThrottledCalls<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrottledCalls").field("throttle", &self.throttle).finish_non_exhaustive()
    }
}
