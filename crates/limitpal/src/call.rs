//! One run as a machine: what happens next, decided without waiting.

mod clocks;
mod failure;
mod held;
mod ledger;
mod only_attempt;
mod plan;
mod race;
mod step;
mod story;
mod timing;
mod waits;

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

pub use self::clocks::Clocks;
pub use self::failure::{Failure, Rehearsal};
pub use self::ledger::{ExecutorStats, Ledger};
pub(crate) use self::only_attempt::OnlyAttempt;
pub use self::plan::{Charge, Plan};
pub use self::race::{Race, TryCharge, TryEnd, Verdict};
pub use self::step::{Step, Stop};
pub use self::story::{Reading, RunNumber};
use self::timing::Timing;
use crate::backoff::Memory;
use crate::budget::Charged;
use crate::circuit_breaker::{Outcome, Permit};
use crate::refusal::{StopReason, TimeoutExceeded};
use crate::time::Instant;

/// One run through a [`Plan`], for whoever writes a loop of their own.
///
/// The call says what to do [`next`](Self::next) and is told what happened. It never waits, and
/// it repeats a step until it is told. It reads the time through [`Clocks`], and only when it needs
/// it; a failed reading comes out unchanged and changes nothing.
///
/// It owns the breaker's permit: dropping a call, finished or not, counts as neither success nor
/// failure and gives the permit back.
///
/// ```
/// use limitpal::{Call, Failure, Instant, Plan, RetryPolicy, Step};
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
///         Step::Attempt(1) => call.failed(Failure::new(true, true), now).unwrap(),
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
    /// When it began and has to end, where that matters.
    timing: Timing,
    /// What its delays go on from.
    memory: Memory,
    /// Whether it has been counted.
    is_over: bool,
    /// A retry that the budget was charged for, and that has not begun.
    charged: Option<Charged>,
    /// When the attempt began, where the breaker takes its time.
    began: Option<Instant>,
    /// As which run it is told of, where somebody listens.
    story: Option<RunNumber>,
}

/// Where a run stands, between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// The run has not begun, and when it does matters.
    Begin(Asked),
    /// Nothing is known of the breaker: at the start, and after any wait.
    Ask(Asked),
    Acquire,
    Attempt,
    Wait(Duration),
    Stop(Stop),
    /// It has given a value, whatever that counts as.
    Over,
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
        let next = quota_or_attempt(&plan);
        let stage = if plan.kept { Stage::Begin(next) } else { Stage::Ask(next) };
        plan.ledger.began();
        Self::at(plan, stage, None)
    }

    /// Goes on with a run whose first attempt has begun without a wait, under a permit of the
    /// closed state that the breaker lent it.
    ///
    /// Such a run need not be kept while its attempt lasts: most end well.
    pub fn begun(plan: P, permit: Option<Permit>) -> Self {
        Self::at(plan, Stage::Attempt, permit)
    }

    #[inline]
    fn at(plan: P, stage: Stage, permit: Option<Permit>) -> Self {
        let patience = plan.acquire_timeout;
        let (is_over, charged, began) = (false, None, None);
        let (timing, memory, story) = (Timing::NOTHING, Memory::default(), None);
        Self {
            plan,
            stage,
            attempts: 0,
            patience,
            permit,
            timing,
            memory,
            is_over,
            charged,
            began,
            story,
        }
    }

    /// Begins a run that is to acquire quota, under a permit of the closed state that the breaker
    /// lent it.
    pub fn admitted(plan: P, permit: Option<Permit>) -> Self {
        plan.ledger.began();
        Self::at(plan, Stage::Acquire, permit)
    }

    /// Returns how many attempts have ended.
    #[inline]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns whether the run has ended with an error that comes out unchanged.
    pub fn ends_unchanged(&self) -> bool {
        match self.stage {
            Stage::Stop(Stop::Failed) => true,
            Stage::Stop(Stop::TimeoutExceeded(timeout)) => timeout.attempts() > 0,
            _ => false,
        }
    }

    /// Says what to do now.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    #[inline(always)]
    pub fn next<C: Clocks>(&mut self, mut clocks: C) -> Result<Step, C::Error> {
        if let Stage::Begin(next) = self.stage {
            self.begin(&mut clocks)?;
            self.stage = Stage::Ask(next);
        }
        if let Stage::Ask(next) = self.stage {
            self.stage = match self.ask(&mut clocks)? {
                Err(refusal) => self.stop(self.stop_at(refusal)),
                Ok(()) => match next {
                    Asked::Acquire => Stage::Acquire,
                    Asked::Attempt => Stage::Attempt,
                },
            };
        }
        Ok(match self.stage {
            Stage::Begin(_) | Stage::Ask(_) => unreachable!("the breaker was asked"),
            Stage::Acquire if self.has_deadline() => self.acquire_in_time(&mut clocks)?,
            Stage::Acquire => Step::Acquire { timeout: self.patience },
            Stage::Attempt => {
                if self.timing.is_kept
                    && let Some(step) = self.time_attempt(&mut clocks)?
                {
                    return Ok(step);
                }
                self.charged = None;
                if self.plan.breaker.as_ref().is_some_and(|breaker| breaker.times_calls()) {
                    self.began = Some(clocks.breaker()?);
                }
                if let Some(run) = self.story {
                    self.tell_attempt(run);
                }
                Step::Attempt(self.attempts + 1)
            }
            Stage::Wait(delay) => Step::Wait(delay),
            Stage::Stop(stop) => Step::Stop(stop),
            Stage::Over => Step::Stop(Stop::Failed),
        })
    }

    /// Hears that the attempt gave a value. The run is over.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    #[inline]
    pub fn succeeded<C: Clocks>(&mut self, clocks: C) -> Result<(), C::Error> {
        self.ended(Outcome::Success, clocks)
    }

    /// As [`succeeded`](Self::succeeded), for a value that the breaker may count as a failure.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    #[inline]
    pub fn ended<C: Clocks>(&mut self, outcome: Outcome, mut clocks: C) -> Result<(), C::Error> {
        let outcome = match self.has_end() {
            true => self.in_time(outcome, &mut clocks)?,
            false => outcome,
        };
        self.attempts += 1;
        self.is_over = true;
        self.plan.ledger.succeeded(self.attempts);
        self.record(outcome, &mut clocks)?;
        self.count_call(&mut clocks)
    }

    /// As [`ended`](Self::ended), for a loop that has the value as an error: the next step stops.
    pub(crate) fn came_out<C: Clocks>(
        &mut self,
        outcome: Outcome,
        clocks: C,
    ) -> Result<(), C::Error> {
        self.ended(outcome, clocks)?;
        self.stage = Stage::Over;
        Ok(())
    }

    /// Hears that the attempt failed, and what that means.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    pub fn failed<C: Clocks>(&mut self, failure: Failure, clocks: C) -> Result<(), C::Error> {
        self.hear(failure, None, clocks)
    }

    /// Hears that the attempt was cut short, since its time is over, and what that means. One that
    /// takes the run's time with it deserves no other, whatever the failure says.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    pub fn timed_out<C: Clocks>(&mut self, failure: Failure, clocks: C) -> Result<(), C::Error> {
        self.hear(failure, Some(self.timeout()), clocks)
    }

    fn hear<C: Clocks>(
        &mut self,
        failure: Failure,
        cut: Option<TimeoutExceeded>,
        mut clocks: C,
    ) -> Result<(), C::Error> {
        let before = self.attempts;
        self.attempts = before.saturating_add(1);
        let after = |call: &mut Self, clocks: &mut C| {
            call.count_call(clocks)?;
            let now = call.note_end(clocks)?;
            Ok((call.after_failure(failure, cut, now, clocks)?, now))
        };
        let (stage, ended) = after(self, &mut clocks).inspect_err(|_| self.attempts = before)?;
        if self.story.is_some() {
            let deserves = failure.retryable && !cut.is_some_and(|cut| cut.ends_run());
            self.tell_failure(deserves, failure.outcome);
        }
        self.count_late(if cut.is_some() { Some(Instant::MAX) } else { ended });
        self.stage = match stage {
            Stage::Stop(stop) => self.stop(stop),
            stage => stage,
        };
        if let Stage::Wait(delay) = stage {
            self.tell_wait(delay);
            if let Some(now) = ended {
                self.timing.plan_wait(now, delay);
            }
        }
        if !self.is_over && self.plan.charge == Charge::Call {
            return Ok(());
        }
        if let Some(outcome) = failure.outcome {
            return self.record(outcome, &mut clocks);
        }
        self.ignore();
        Ok(())
    }

    /// Hears that the attempt ended in a refusal of ours, raised by the user's function: it is
    /// never retried and never counted.
    pub fn own_refusal(&mut self) {
        self.attempts += 1;
        self.ignore();
        self.tell_failure(false, None);
        self.stage = self.stop(Stop::Failed);
    }

    /// Ends the run without a value.
    #[cold]
    #[inline(never)] // laid out in all that may end a run, it makes each of them slower
    fn stop(&mut self, stop: Stop) -> Stage {
        self.is_over = true;
        self.plan.ledger.stopped(stop, self.attempts);
        Stage::Stop(stop)
    }

    /// Returns what comes after an attempt that failed.
    fn after_failure<C: Clocks>(
        &mut self,
        failure: Failure,
        cut: Option<TimeoutExceeded>,
        now: Option<Instant>,
        clocks: &mut C,
    ) -> Result<Stage, C::Error> {
        let exhausted = |reason| Ok(Stage::Stop(Stop::RetryExhausted(reason)));
        let Failure { spacing, rehearsal, .. } = failure;
        let retry = match &self.plan.retry {
            Some(retry) if failure.retryable && !cut.is_some_and(|cut| cut.ends_run()) => retry,
            _ => return Ok(Stage::Stop(cut.map_or(Stop::Failed, Stop::TimeoutExceeded))),
        };
        let rehearses = rehearsal.is_none_or(|it| it.has_attempt_after(self.attempts));
        if !rehearses || !retry.has_attempt_after(self.attempts) {
            return exhausted(StopReason::Attempts);
        }
        let delay = retry.spaced(spacing, self.attempts, &mut self.memory);
        if let Some(now) = now {
            match self.timing.left_after(now, delay, retry.max_elapsed()) {
                Err(reason) => return exhausted(reason),
                // Quota for the next attempt is waited for no longer than the run may last.
                Ok(Some(left)) => {
                    self.patience = Some(self.patience.map_or(left, |patience| patience.min(left)));
                }
                Ok(None) => {}
            }
        }
        if let Some(budget) = &self.plan.budget {
            self.charged = budget.charge(|| clocks.budget())?;
            if self.charged.is_none() {
                return exhausted(StopReason::Budget);
            }
        }
        if rehearsal.is_some_and(|it| !it.waits) {
            // As if it had been waited: else a run that only time ends would never end.
            self.timing.skip(delay);
            return Ok(Stage::Wait(Duration::ZERO));
        }
        Ok(Stage::Wait(delay))
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
