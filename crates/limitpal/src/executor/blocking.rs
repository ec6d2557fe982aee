//! The loop that blocks its thread to wait.

use std::time::Duration;

use super::error::{Last, RunError};
use super::{Attempt, Deadline, Parts, ResilientExecutor, Unspent};
use crate::call::{Call, OnlyAttempt, Plan, Step};
use crate::limiter::{CompositePermit, Denied, Quota};

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
                return Err(RunError::new(stop, 0, Last::Nothing));
            }
            return self.go_on_blocking(key, |_, _| Some(function()), call, None, Last::Nothing);
        };
        let entered = match &parts.limiter {
            None => Ok(None),
            Some(limiter) => limiter.enter_blocking(key.into(), parts.plan.acquire_timeout),
        };
        let (call, quota, last) = match entered {
            Ok(None) => {
                let attempt = OnlyAttempt::of(&parts.plan);
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
                        (call, None, Last::Failed(error))
                    }
                }
            }
            Ok(Some(quota)) => (Call::admitted(&parts.plan, permit), Some(quota), Last::Nothing),
            Err(refusal) => return Err(parts.refused(refusal.retry_after())),
        };
        self.go_on_blocking(key, |_, _| Some(function()), call, quota, last)
    }

    /// As [`run_blocking`](Self::run_blocking), for a function that is told about its [`Attempt`].
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub fn run_attempts_blocking<T>(
        &self,
        key: &str,
        function: impl FnMut(Attempt<'_, E>) -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        self.run_timed_blocking(None, key, function)
    }

    /// As [`run_attempts_blocking`](Self::run_attempts_blocking), with a deadline: that of the
    /// attempt around this run, or of a request. Of it and the executor's timeout the sooner counts.
    ///
    /// ```
    /// use limitpal::{Deadline, MockClock, ResilientExecutor, RetryPolicy, RunError, StopReason};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let policy = RetryPolicy::builder().base_delay(Duration::from_secs(1)).build()?;
    /// let executor =
    ///     ResilientExecutor::builder().retry_policy(policy).clock(clock.clone()).build()?;
    ///
    /// let deadline = Deadline::after(Duration::from_secs(3), clock.clone());
    /// let end = executor.run_until_blocking(&deadline, "api", |_| Err::<(), _>("busy"));
    /// let Err(RunError::RetryExhausted(end)) = end else { panic!("{end:?}") };
    /// assert_eq!((2, StopReason::Deadline), (end.attempts, end.reason));
    /// assert_eq!(1_000_000_000, clock.now().as_nanos(), "the next wait would end at the deadline");
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The function's own error, or why it was not called (again).
    pub fn run_until_blocking<T>(
        &self,
        deadline: &Deadline,
        key: &str,
        function: impl FnMut(Attempt<'_, E>) -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        self.run_timed_blocking(Some(deadline), key, function)
    }

    fn run_timed_blocking<T>(
        &self,
        deadline: Option<&Deadline>,
        key: &str,
        mut function: impl FnMut(Attempt<'_, E>) -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        let own = parts.plan_of(key);
        let call = parts.until(Call::new(own.as_ref().unwrap_or(&parts.plan)), deadline);
        self.go_on_blocking(key, |attempt, _| Some(function(attempt)), call, None, Last::Nothing)
    }

    /// Goes on with a run of which something is to be kept. The function may take what is held, and
    /// gives nothing if it was cut short.
    pub(super) fn go_on_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut(Attempt<'_, E>, &mut CompositePermit) -> Option<Result<T, E>>,
        mut call: Call<&Plan>,
        mut entered: Option<Quota>,
        mut last: Last<E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        let mut unspent: Option<Unspent<'_>> = None;
        let mut held = CompositePermit::default();
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    let acquired = match entered.take() {
                        Some(quota) => Ok(Some(quota)),
                        None => parts.enter_blocking(key, timeout),
                    };
                    match acquired {
                        Ok(None) => call.granted(Duration::ZERO),
                        Ok(Some(quota)) => {
                            call.granted(quota.waited());
                            unspent = Some(Unspent::new(parts.limiter(), quota));
                        }
                        Err(denied) => parts.denied(&mut call, denied),
                    }
                }
                Step::Wait(delay) => {
                    parts.begin_wait(&call, &last, delay, &mut held);
                    parts.clock.sleep_blocking(delay);
                    call.slept();
                }
                Step::Attempt(_) => {
                    let hooks = parts.begin_attempt(&mut call, &last);
                    if let Some(quota) = unspent.take() {
                        quota.spend(&mut held);
                    }
                    let answer = function(parts.told(&call, &last), &mut held);
                    parts.end_attempt(hooks, &call, &last, answer.as_ref());
                    match answer {
                        Some(Ok(value)) => {
                            let Ok(()) = call.succeeded(parts);
                            return Ok(value);
                        }
                        Some(Err(error)) => {
                            parts.report(&mut call, &error);
                            last = Last::Failed(error);
                        }
                        None => last = Last::TimedOut(parts.report_timeout(&mut call)),
                    }
                }
                Step::Stop(stop) => {
                    return Err(RunError::new(stop, call.attempts(), last));
                }
            }
        }
    }
}

impl<E> Parts<E> {
    /// Blocks the thread until there is quota, and a place in the bulkhead.
    #[inline]
    pub(super) fn enter_blocking(
        &self,
        key: &str,
        timeout: Option<Duration>,
    ) -> Result<Option<Quota>, Denied> {
        match &self.guarded {
            None => self.limiter().enter_blocking(key.into(), timeout).map_err(Denied::from),
            Some(guarded) => guarded.acquire_blocking(key.into(), timeout).map(Some),
        }
    }
}
