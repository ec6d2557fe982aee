//! The loop that waits as a future, on any async executor.

use std::future::Future;
use std::time::Duration;

use super::error::RunError;
use super::{ResilientExecutor, Unspent};
use crate::call::{Call, Step};
use crate::limiter::CompositePermit;
use crate::refusal::RateLimitExceeded;
use crate::store::Turn;

impl<E: 'static> ResilientExecutor<E> {
    /// Runs `function` to its value or its last error.
    ///
    /// `key` says whose quota is taken. The function runs in the caller's own task. Dropping the
    /// future ends the run wherever it is; nothing is lost, and the breaker counts nothing.
    ///
    /// ```
    /// use limitpal::{Charge, ResilientExecutor, RetryPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let executor = ResilientExecutor::builder()
    ///     .retry_policy(RetryPolicy::default())
    ///     .charge(Charge::Attempt)
    ///     .build()?;
    /// let answer = executor.run("user:7", || async { Ok::<_, std::io::Error>(7) }).await?;
    /// assert_eq!(7, answer);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub async fn run<T, F, Answer>(&self, key: &str, mut function: F) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        let mut call = Call::new(&parts.plan);
        let mut unspent: Option<Unspent<'_>> = None;
        let mut held = CompositePermit::default();
        let mut last_error = None;
        loop {
            let Ok(step) = call.next(|| parts.now());
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    let acquired = match limiter.enter(key.into(), timeout) {
                        Some(Turn::Now(())) => {
                            call.granted(Duration::ZERO);
                            continue;
                        }
                        Some(Turn::Refused(retry_after)) => {
                            Err(RateLimitExceeded::new(retry_after))
                        }
                        Some(Turn::Wait(place, _)) => Ok(limiter.come(place).await),
                        None => limiter.acquire_quota(key, timeout).await,
                    };
                    match acquired {
                        Ok(quota) => {
                            call.granted(quota.waited());
                            unspent = Some(Unspent::new(limiter, quota));
                        }
                        Err(refusal) => call.refused(refusal.retry_after()),
                    }
                }
                Step::Wait(delay) => {
                    parts.rest(&mut held);
                    parts.clock.sleep(delay).await;
                    call.slept();
                }
                Step::Attempt(_) => {
                    if let Some(quota) = unspent.take() {
                        quota.spend(&mut held);
                    }
                    match function().await {
                        Ok(value) => {
                            let Ok(()) = call.succeeded(|| parts.now());
                            return Ok(value);
                        }
                        Err(error) => {
                            parts.report(&mut call, &error);
                            last_error = Some(error);
                        }
                    }
                }
                Step::Stop(stop) => {
                    return Err(RunError::new(stop, call.attempts(), last_error));
                }
            }
        }
    }
}
