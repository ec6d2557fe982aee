//! The loop that blocks its thread to wait.

use std::time::Duration;

use super::error::RunError;
use super::{ResilientExecutor, Unspent};
use crate::call::{Call, OnlyAttempt, Plan, Step};
use crate::limiter::{CompositePermit, Quota};

impl<E: 'static> ResilientExecutor<E> {
    /// Runs `function` to its value or its last error, blocking the thread to wait.
    ///
    /// `key` says whose quota is taken.
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub fn run_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        // Most runs wait for nothing and do not fail: of those nothing is kept but the function.
        let Some(permit) = parts.closed_permit() else {
            let own = parts.plan_of(key);
            let mut call = Call::new(own.as_ref().unwrap_or(&parts.plan));
            if let Ok(Step::Stop(stop)) = call.next(parts) {
                return Err(RunError::new(stop, 0, None));
            }
            return self.go_on_blocking(key, function, call, None, None);
        };
        let entered = match &parts.limiter {
            None => Ok(None),
            Some(limiter) => limiter.enter_blocking(key.into(), parts.plan.acquire_timeout),
        };
        let (call, quota, last_error) = match entered {
            Ok(None) => {
                let attempt = OnlyAttempt::of(&parts.plan.ledger);
                let answer = function();
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
            Ok(Some(quota)) => (Call::admitted(&parts.plan, permit), Some(quota), None),
            Err(refusal) => return Err(parts.refused(refusal.retry_after())),
        };
        self.go_on_blocking(key, function, call, quota, last_error)
    }

    /// Goes on with a run of which something is to be kept.
    fn go_on_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut() -> Result<T, E>,
        mut call: Call<&Plan>,
        mut entered: Option<Quota>,
        mut last_error: Option<E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        let mut unspent: Option<Unspent<'_>> = None;
        let mut held = CompositePermit::default();
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    let acquired = match entered.take() {
                        Some(quota) => Ok(Some(quota)),
                        None => limiter.enter_blocking(key.into(), timeout),
                    };
                    match acquired {
                        Ok(None) => call.granted(Duration::ZERO),
                        Ok(Some(quota)) => {
                            call.granted(quota.waited());
                            unspent = Some(Unspent::new(limiter, quota));
                        }
                        Err(refusal) => call.refused(refusal.retry_after()),
                    }
                }
                Step::Wait(delay) => {
                    parts.rest(&mut held);
                    parts.clock.sleep_blocking(delay);
                    call.slept();
                }
                Step::Attempt(_) => {
                    if let Some(quota) = unspent.take() {
                        quota.spend(&mut held);
                    }
                    match function() {
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
