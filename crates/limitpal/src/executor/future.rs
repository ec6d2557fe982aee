//! The loop that waits as a future, on any async executor.

use std::future::Future;
use std::time::Duration;

use super::error::RunError;
use super::{Parts, ResilientExecutor, Unspent};
use crate::call::{Call, OnlyAttempt, Plan, Step};
use crate::circuit_breaker::Permit;
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
        // Most runs wait for nothing and do not fail: of those nothing is kept but the function.
        let (mut call, entered, last_error) = match parts.begin(key) {
            None => match parts.plan_of(key) {
                None => (Call::new(&parts.plan), None, None),
                Some(own) => {
                    return self.go_on(key, function, Call::new(&own), None, None).await;
                }
            },
            Some((permit, Some(Turn::Now(())))) => {
                let attempt = OnlyAttempt::of(&parts.plan.ledger);
                let answer = function().await;
                attempt.ended();
                match answer {
                    Ok(value) => {
                        parts.succeeded(permit);
                        return Ok(value);
                    }
                    Err(error) => {
                        let mut call = Call::begun(&parts.plan, permit);
                        parts.report(&mut call, &error);
                        (call, None, Some(error))
                    }
                }
            }
            Some((_, Some(Turn::Refused(retry_after)))) => {
                return Err(parts.refused(retry_after));
            }
            Some((permit, turn)) => (Call::admitted(&parts.plan, permit), turn, None),
        };
        if let Ok(Step::Stop(stop)) = call.next(parts) {
            return Err(RunError::new(stop, call.attempts(), last_error));
        }
        self.go_on(key, function, call, entered, last_error).await
    }

    /// Goes on with a run of which something is to be kept.
    async fn go_on<T, F, Answer>(
        &self,
        key: &str,
        mut function: F,
        mut call: Call<&Plan>,
        mut entered: Option<Turn<()>>,
        mut last_error: Option<E>,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let parts = &*self.parts;
        let mut unspent: Option<Unspent<'_>> = None;
        let mut held = CompositePermit::default();
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    let turn = entered.take().or_else(|| limiter.enter(key.into(), timeout));
                    let acquired = match turn {
                        Some(Turn::Now(())) => {
                            call.granted(Duration::ZERO);
                            continue;
                        }
                        Some(Turn::Refused(retry_after)) => {
                            Err(RateLimitExceeded::new(retry_after))
                        }
                        Some(Turn::Wait(place, _)) => limiter.come(place).await,
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
                            let Ok(()) = call.succeeded(parts);
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

impl<E> Parts<E> {
    /// Begins a run while the circuit is closed: what the limiter says, if it is not to be awaited.
    #[inline]
    fn begin(&self, key: &str) -> Option<(Option<Permit>, Option<Turn<()>>)> {
        let permit = self.closed_permit()?;
        let turn = match &self.limiter {
            None => Some(Turn::Now(())),
            Some(limiter) => limiter.enter(key.into(), self.plan.acquire_timeout),
        };
        Some((permit, turn))
    }
}
