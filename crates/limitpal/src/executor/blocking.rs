//! The loop that blocks its thread to wait.

use std::time::Duration;

use super::error::{Last, RunError};
use super::start::{Entry, Lent, Light, Start};
use super::{Attempt, Deadline, Parts, ResilientExecutor, Unspent};
use crate::call::{Call, OnlyAttempt, Plan, Step};
use crate::circuit_breaker::Permit;
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
            return self.run_staged_blocking(key, function);
        };
        let entered = match &parts.limiter {
            None => Ok(None),
            Some(limiter) => limiter.enter_blocking(key.into(), parts.plan.acquire_timeout),
        };
        let (call, entry, last) = match entered {
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
                        (call, Entry::NotAsked, Last::Failed(error))
                    }
                }
            }
            Ok(Some(quota)) => {
                (Call::admitted(&parts.plan, permit), Entry::Known(quota), Last::Nothing)
            }
            Err(refusal) => return Err(parts.refused(refusal.retry_after())),
        };
        let held = CompositePermit::default();
        self.go_on_blocking(key, |_, _| Some(function()), call, entry, held, last)
    }

    /// As `run_blocking`, where more is to be asked than a limiter and a closed circuit.
    #[inline(never)]
    fn run_staged_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        if parts.breakers.is_some() || parts.is_heard() {
            return self.run_timed_blocking(None, key, |_| function());
        }
        let (light, permit) = match (&parts.light, parts.admit()) {
            (Some(light), Ok(Lent::Shared(permit))) => (light, permit),
            (None, Ok(Lent::Shared(permit))) => {
                return self.run_lent_blocking(key, function, permit);
            }
            (_, Ok(Lent::Own(permit))) => {
                return self.run_lent_blocking(key, function, Some(permit));
            }
            (_, Err(refusal)) => return Err(parts.shut(refusal)),
        };
        let mut start = parts.start(light, permit);
        let (call, entry, last) = match parts.come_in_blocking(light, &mut start, key) {
            Ok(None) => {
                let attempt = OnlyAttempt::of(&parts.plan);
                let answer = function();
                attempt.ended();
                match answer {
                    Ok(value) => {
                        parts.started_well(&start);
                        return Ok(value);
                    }
                    Err(error) => {
                        let (call, last) = parts.started_badly(&start, Some(error));
                        (call, Entry::NotAsked, last)
                    }
                }
            }
            Ok(Some(entry)) => (start.admitted(&parts.plan), entry, Last::Nothing),
            Err(denied) => return Err(parts.turned_away(denied)),
        };
        self.go_on_blocking(key, |_, _| Some(function()), call, entry, start.keep(), last)
    }

    /// As `run_blocking`, of which something is to be kept, under a permit that was lent.
    fn run_lent_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut() -> Result<T, E>,
        permit: Option<Permit>,
    ) -> Result<T, RunError<E>> {
        let Ok(call) = Call::lent(&self.parts.plan, permit, &*self.parts);
        let (entry, held) = (Entry::NotAsked, CompositePermit::default());
        self.go_on_blocking(key, |_, _| Some(function()), call, entry, held, Last::Nothing)
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
        let mut call = parts.until(Call::new(own.as_ref().unwrap_or(&parts.plan)), deadline);
        parts.begin_story(&mut call, key);
        let (entry, held) = (Entry::NotAsked, CompositePermit::default());
        let attempt = |attempt: Attempt<'_, E>, _: &mut _| Some(function(attempt));
        self.go_on_blocking(key, attempt, call, entry, held, Last::Nothing)
    }

    /// Goes on with a run of which something is to be kept. The function may take what is held, and
    /// gives nothing if it was cut short.
    pub(super) fn go_on_blocking<T>(
        &self,
        key: &str,
        mut function: impl FnMut(Attempt<'_, E>, &mut CompositePermit) -> Option<Result<T, E>>,
        mut call: Call<&Plan>,
        mut entry: Entry<Quota>,
        mut held: CompositePermit,
        mut last: Last<E>,
    ) -> Result<T, RunError<E>> {
        let parts = &*self.parts;
        let mut unspent: Option<Unspent<'_>> = None;
        loop {
            let Ok(step) = call.next(parts);
            match step {
                Step::Acquire { timeout } => {
                    match parts.acquire_blocking(std::mem::take(&mut entry), key, timeout) {
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
    /// Asks for what the first attempt of a run needs; none: all of it was there at once.
    #[inline]
    fn come_in_blocking<'p>(
        &'p self,
        light: &Light,
        start: &mut Start<'p>,
        key: &str,
    ) -> Result<Option<Entry<Quota>>, Denied> {
        match (&self.guarded, &self.limiter) {
            (Some(guarded), _) => {
                start.inside = guarded.enter(key.into())?;
                Ok(if start.inside.is_some() { None } else { Some(Entry::Asked) })
            }
            (None, Some(limiter)) => {
                let entered = limiter.enter_blocking(key.into(), light.patience);
                Ok(entered?.map(Entry::Known))
            }
            (None, None) => Ok(None),
        }
    }

    /// Blocks the thread until there is quota, and a place in the bulkhead, as far as it is not known.
    fn acquire_blocking(
        &self,
        entry: Entry<Quota>,
        key: &str,
        timeout: Option<Duration>,
    ) -> Result<Option<Quota>, Denied> {
        match (entry, &self.guarded) {
            (Entry::Known(quota), _) => Ok(Some(quota)),
            (Entry::Asked, Some(guarded)) => guarded.come_blocking(key.into(), timeout).map(Some),
            (Entry::NotAsked | Entry::Asked, _) => self.enter_blocking(key, timeout),
        }
    }

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
