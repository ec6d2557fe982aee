//! One run as a machine: what happens next, decided without waiting.

mod plan;
mod step;

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

pub use self::plan::{Charge, Plan};
pub use self::step::{Step, Stop};
use crate::circuit_breaker::{Outcome, Permit};
use crate::refusal::{CircuitBreakerOpen, StopReason};
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// One run through a [`Plan`], for whoever writes a loop of their own.
///
/// The call says what to do [`next`](Self::next) and is told what happened. It never waits, and
/// it repeats a step until it is told. It reads the time of the breaker's clock through `read`,
/// and only when the breaker needs it; a failed reading comes out unchanged and changes nothing.
///
/// It owns the breaker's permit: dropping a call, finished or not, counts as neither success nor
/// failure and gives the permit back.
///
/// ```
/// use limitpal::{Call, Instant, Plan, RetryPolicy, Step};
/// use std::convert::Infallible;
///
/// let mut plan = Plan::default();
/// plan.retry = Some(RetryPolicy::<()>::default().settings().clone());
/// let now = || Ok::<_, Infallible>(Instant::ZERO);
///
/// let mut call = Call::new(&plan);
/// let mut log = Vec::new();
/// loop {
///     let Ok(step) = call.next(now);
///     log.push(format!("{step:?}"));
///     match step {
///         Step::Attempt(1) => call.failed(true, true, now).unwrap(),
///         Step::Attempt(_) => break call.succeeded(now).unwrap(),
///         Step::Wait(_delay) => call.slept(),
///         step => panic!("{step:?} in a plan of retries alone"),
///     }
/// }
/// assert_eq!(["Attempt(1)", "Wait(100ms)", "Attempt(2)"], log[..]);
/// ```
pub struct Call<P: Deref<Target = Plan>> {
    plan: P,
    stage: Stage,
    /// Attempts that have ended.
    attempts: u32,
    /// What is left of `acquire_timeout`.
    patience: Option<Duration>,
    permit: Option<Permit>,
}

/// Where a run stands, between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Nothing is known of the breaker: at the start, and after any wait.
    Ask(Asked),
    Acquire,
    Attempt,
    Wait(Duration),
    Stop(Stop),
}

/// What comes once the breaker has admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asked {
    Acquire,
    Attempt,
}

impl<P: Deref<Target = Plan>> Call<P> {
    /// Begins a run.
    #[inline]
    pub fn new(plan: P) -> Self {
        let patience = plan.acquire_timeout;
        let stage = Stage::Ask(quota_or_attempt(&plan));
        Self { plan, stage, attempts: 0, patience, permit: None }
    }

    /// Goes on with a run whose first attempt has begun without a wait, under a permit of the
    /// closed state that the breaker lent it.
    ///
    /// Such a run need not be kept while its attempt lasts: most end well.
    pub fn begun(plan: P, permit: Option<Permit>) -> Self {
        let patience = plan.acquire_timeout;
        Self { plan, stage: Stage::Attempt, attempts: 0, patience, permit }
    }

    /// Goes on with a run that is to acquire quota, under a permit of the closed state that the
    /// breaker lent it.
    pub fn admitted(plan: P, permit: Option<Permit>) -> Self {
        let patience = plan.acquire_timeout;
        Self { plan, stage: Stage::Acquire, attempts: 0, patience, permit }
    }

    /// Returns how many attempts have ended.
    #[inline]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns whether the run has ended with an error that comes out unchanged.
    pub fn ends_unchanged(&self) -> bool {
        self.stage == Stage::Stop(Stop::Failed)
    }

    /// Says what to do now.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn next<E>(&mut self, read: impl FnMut() -> Result<Instant, E>) -> Result<Step, E> {
        if let Stage::Ask(next) = self.stage {
            self.stage = match self.ask(read)? {
                Err(refusal) => Stage::Stop(self.stop_at(refusal)),
                Ok(()) => match next {
                    Asked::Acquire => Stage::Acquire,
                    Asked::Attempt => Stage::Attempt,
                },
            };
        }
        Ok(match self.stage {
            Stage::Ask(_) => unreachable!("the breaker was asked"),
            Stage::Acquire => Step::Acquire { timeout: self.patience },
            Stage::Attempt => Step::Attempt(self.attempts + 1),
            Stage::Wait(delay) => Step::Wait(delay),
            Stage::Stop(stop) => Step::Stop(stop),
        })
    }

    /// Hears that quota was granted after this wait.
    #[inline]
    pub fn granted(&mut self, waited: Duration) {
        self.patience = self.patience.map(|patience| patience.saturating_sub(waited));
        let has_waited = !waited.is_zero();
        self.stage = if has_waited { Stage::Ask(Asked::Attempt) } else { Stage::Attempt };
    }

    /// Hears that there is no quota in time.
    pub fn refused(&mut self, retry_after: RetryAfter) {
        self.give_back();
        self.stage = Stage::Stop(Stop::refused(self.attempts, retry_after));
    }

    /// Hears that the wait between two attempts is over.
    pub fn slept(&mut self) {
        let next = match self.plan.charge {
            Charge::Call => Asked::Attempt,
            Charge::Attempt => quota_or_attempt(&self.plan),
        };
        self.stage = Stage::Ask(next);
    }

    /// Hears that the attempt gave a value. The run is over.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn succeeded<E>(&mut self, read: impl FnMut() -> Result<Instant, E>) -> Result<(), E> {
        self.attempts += 1;
        self.record(Outcome::Success, read)
    }

    /// Hears that the attempt failed: whether the error deserves another attempt as far as it
    /// alone is concerned, and whether it counts for the breaker.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn failed<E>(
        &mut self,
        retryable: bool,
        counts: bool,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.attempts += 1;
        self.stage = self.after_failure(retryable);
        let is_over = matches!(self.stage, Stage::Stop(_));
        if !is_over && self.plan.charge == Charge::Call {
            return Ok(());
        }
        if counts {
            return self.record(Outcome::Failure, read);
        }
        self.give_back();
        Ok(())
    }

    /// Hears that the attempt ended in a refusal of ours, raised by the user's function: it is
    /// never retried and never counted.
    pub fn own_refusal(&mut self) {
        self.attempts += 1;
        self.give_back();
        self.stage = Stage::Stop(Stop::Failed);
    }

    fn after_failure(&self, retryable: bool) -> Stage {
        match &self.plan.retry {
            Some(retry) if retryable && retry.has_attempt_after(self.attempts) => {
                Stage::Wait(retry.delay(self.attempts))
            }
            Some(_) if retryable => Stage::Stop(Stop::RetryExhausted(StopReason::Attempts)),
            _ => Stage::Stop(Stop::Failed),
        }
    }

    /// Asks the breaker. A permit that is still good is kept.
    #[inline]
    fn ask<E>(
        &mut self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<(), CircuitBreakerOpen>, E> {
        let Some(breaker) = &self.plan.breaker else { return Ok(Ok(())) };
        let answer = match self.permit {
            None => breaker.admit(read)?,
            Some(permit) => breaker.renew(permit, read)?,
        };
        self.permit = answer.ok();
        Ok(answer.map(|_| ()))
    }

    /// Returns how the run ends that the breaker stops.
    fn stop_at(&self, refusal: CircuitBreakerOpen) -> Stop {
        match self.attempts {
            0 => Stop::CircuitBreakerOpen(refusal),
            _ => Stop::RetryExhausted(StopReason::CircuitOpen),
        }
    }

    #[inline]
    fn record<E>(
        &mut self,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, self.permit) {
            breaker.record(permit, outcome, read)?;
            self.permit = None;
        }
        Ok(())
    }

    #[inline]
    fn give_back(&mut self) {
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, self.permit.take()) {
            breaker.give_back(permit);
        }
    }
}

impl<P: Deref<Target = Plan>> Drop for Call<P> {
    #[inline]
    fn drop(&mut self) {
        self.give_back();
    }
}

impl<P: Deref<Target = Plan>> fmt::Debug for Call<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("stage", &self.stage)
            .field("attempts", &self.attempts)
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}

/// Returns what comes before the next attempt: quota, where there is a limiter.
fn quota_or_attempt(plan: &Plan) -> Asked {
    if plan.has_limiter { Asked::Acquire } else { Asked::Attempt }
}
