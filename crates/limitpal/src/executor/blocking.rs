//! The loop that blocks its thread to wait.

use std::time::Duration;

use super::error::RunError;
use super::{Held, ResilientExecutor};
use crate::call::{Call, Charge, Step};

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
        let mut held: Option<Held<'_>> = None;
        let mut last_error = None;
        loop {
            let Ok(step) = call.next(|| parts.now());
            match step {
                Step::Acquire { timeout } => {
                    let limiter = parts.limiter();
                    match limiter.enter_blocking(key.into(), timeout) {
                        Ok(None) => call.granted(Duration::ZERO),
                        Ok(Some(quota)) => {
                            call.granted(quota.waited());
                            held = Some(Held::new(limiter, quota));
                        }
                        Err(refusal) => call.refused(refusal.retry_after()),
                    }
                }
                Step::Wait(delay) => {
                    if parts.plan.charge == Charge::Attempt {
                        held = None;
                    }
                    parts.clock.sleep_blocking(delay);
                    call.slept();
                }
                Step::Attempt(_) => {
                    if let Some(held) = &mut held {
                        held.spend();
                    }
                    match function() {
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
