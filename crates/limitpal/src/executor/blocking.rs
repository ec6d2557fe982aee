//! The loop that blocks its thread to wait.

use std::time::Duration;

use super::error::RunError;
use super::{ResilientExecutor, Unspent};
use crate::call::{Call, Step};
use crate::limiter::CompositePermit;

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
        let mut call = Call::new(&parts.plan);
        let mut unspent: Option<Unspent<'_>> = None;
        let mut held = CompositePermit::default();
        let mut last_error = None;
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    match limiter.enter_blocking(key.into(), timeout) {
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
