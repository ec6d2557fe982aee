//! Why a run was refused: by which part of the executor.

use super::{ResilientExecutor, RunError};
use crate::refusal::{Explanation, StopReason};
use crate::retry_after::RetryAfter;

impl<E> ResilientExecutor<E> {
    /// Explains why a run of this key ended so: which part has refused it, in numbers, and what would
    /// change that. None where the function failed with an error of its own.
    ///
    /// ```
    /// use limitpal::{MockClock, Rate, ResilientExecutor, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let builder = TokenBucket::builder(1, Rate::per_second(1.0)?).clock(MockClock::new());
    /// let executor = ResilientExecutor::builder().limiter(builder.build()?);
    /// let executor = executor.acquire_timeout(Duration::ZERO).build()?;
    /// let run = || executor.run_blocking("user:7", || Ok::<_, ()>(7));
    /// run().unwrap();
    ///
    /// let explained = executor.explain("user:7", &run().unwrap_err()).expect("it was refused");
    /// assert_eq!(("TokenBucket", Some("user:7")), (explained.part, explained.key.as_deref()));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn explain(&self, key: &str, error: &RunError<E>) -> Option<Explanation> {
        match error {
            RunError::RateLimitExceeded(refusal) => Some(match &self.parts.limiter {
                Some(limiter) => limiter.explain(key, *refusal),
                None => refusal.explain().of_key(key),
            }),
            RunError::CircuitBreakerOpen(refusal) => {
                let explained = match &self.parts.breaker {
                    Some(breaker) => breaker.explain(*refusal),
                    None => refusal.explain(),
                };
                Some(explained.of_key(key))
            }
            RunError::BulkheadFull(full) => {
                let change = StopReason::BulkheadFull.change().to_owned();
                let explained = Explanation::new("Bulkhead", RetryAfter::Unknown, change);
                Some(explained.of_key(key).with("limit", full.limit()))
            }
            RunError::RetryExhausted(end) => {
                let change = end.reason.change().to_owned();
                let explained = Explanation::new("RetryPolicy", RetryAfter::Unknown, change);
                Some(
                    explained.of_key(key).with("attempts", end.attempts).with("reason", end.reason),
                )
            }
            RunError::TimeoutExceeded(timeout) => {
                let change = "allow more time, or make the call faster".to_owned();
                let explained = Explanation::new("timeout", RetryAfter::Unknown, change);
                let explained = explained.of_key(key).with("scope", timeout.scope());
                let span = format_args!("{:?}", timeout.timeout()).to_string();
                Some(explained.with("timeout", span).with("attempts", timeout.attempts()))
            }
            RunError::Failed(_) => None,
        }
    }
}
