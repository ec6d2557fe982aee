//! What a run knows of its own time: when it began, and when it has to end.

use std::ops::Deref;
use std::time::Duration;

use super::{Call, Clocks, Plan, Stage, Step, Stop};
use crate::circuit_breaker::Outcome;
use crate::refusal::{StopReason, TimeoutExceeded, TimeoutScope};
use crate::time::Instant;

/// When a run began, and when it has to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Whether time is noted at all.
    pub(super) is_kept: bool,
    /// Whether it is told the time now and then.
    is_noted: bool,
    /// Whether the limit on the wait for quota is the deadline.
    is_hurried: bool,
    started: Instant,
    /// The time that was read last, if there was no wait since.
    fresh: Option<Instant>,
    deadline: Option<Instant>,
    /// When the present attempt began, and when its time is over.
    attempt: Instant,
    ends: Option<Instant>,
}

impl Timing {
    pub(super) const NOTHING: Self = Self {
        is_kept: false,
        is_noted: false,
        is_hurried: false,
        started: Instant::ZERO,
        fresh: None,
        deadline: None,
        attempt: Instant::ZERO,
        ends: None,
    };

    pub(super) fn until(&mut self, deadline: Option<Instant>) {
        self.is_kept = true;
        self.deadline = sooner(self.deadline, deadline);
    }

    fn begin(&mut self, now: Instant, timeout: Option<Duration>) {
        self.started = now;
        self.fresh = Some(now);
        self.until(timeout.map(|timeout| now + timeout));
    }

    /// Notes when an attempt begins, which may last so long.
    fn begin_attempt(&mut self, now: Instant, timeout: Option<Duration>) {
        self.fresh = None;
        self.attempt = now;
        self.ends = sooner(timeout.map(|timeout| now + timeout), self.deadline);
    }

    /// Hears that so much time has passed, or more.
    #[inline]
    pub(super) fn has_waited(&mut self, span: Duration) {
        self.fresh = None;
        if !self.is_kept {
            self.attempt = self.attempt + span;
        }
    }

    /// Moves the run by a wait that was left out, as if it had been waited.
    pub(super) fn skip(&mut self, delay: Duration) {
        self.started = self.started.saturating_sub(delay);
        self.deadline = self.deadline.map(|deadline| deadline.saturating_sub(delay));
    }

    /// Returns how long a run may go on after this delay, by `max_elapsed`, or why it may not.
    pub(super) fn left_after(
        &self,
        now: Instant,
        delay: Duration,
        max_elapsed: Option<Duration>,
    ) -> Result<Option<Duration>, StopReason> {
        let over = now.saturating_duration_since(self.started).saturating_add(delay);
        let left = match max_elapsed {
            None => None,
            Some(most) => Some(most.checked_sub(over).ok_or(StopReason::Elapsed)?),
        };
        match self.deadline {
            Some(deadline) if now + delay >= deadline => Err(StopReason::Deadline),
            _ => Ok(left),
        }
    }

    /// Hears of a wait before the next attempt, which begins after it, if nothing intervenes.
    pub(super) fn plan_wait(&mut self, now: Instant, delay: Duration) {
        self.attempt = now + delay;
        self.ends = self.deadline;
    }

    fn is_late(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| now > ends)
    }

    /// Why there is no quota for another attempt.
    pub(super) fn no_quota(&self) -> StopReason {
        if self.is_hurried { StopReason::Deadline } else { StopReason::RateLimited }
    }
}

impl<P: Deref<Target = Plan>> Call<P> {
    /// Returns the call as one that notes when it begins, and ends at this reading of the clock of
    /// runs if not before: to be asked for before its first step.
    #[must_use]
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.timing.until(deadline);
        if let Stage::Ask(next) = self.stage {
            self.stage = Stage::Begin(next);
        }
        self
    }

    /// Goes on with a run that noted nothing but when it began, in the step that it is at.
    #[must_use]
    pub fn since(mut self, began: Option<Instant>) -> Self {
        if let Some(began) = began {
            self.timing.begin(began, self.plan.timeout);
            if self.stage == Stage::Attempt {
                self.timing.begin_attempt(began, self.plan.attempt_timeout);
            }
        }
        self
    }

    /// Tells a run that did not note when it began what time it is between two attempts: from the
    /// first time on all counts for [`elapsed`](Self::elapsed), of the time before what was waited.
    pub fn note_time(&mut self, now: Instant) {
        if self.timing.is_kept {
            return;
        }
        if !self.timing.is_noted {
            self.timing.started = now.saturating_sub(self.elapsed());
            self.timing.is_noted = true;
        }
        self.timing.attempt = now;
    }

    /// Hears that the attempt does not begin after all, and the run neither.
    pub fn withdraw(&mut self) {
        if self.stage == Stage::Attempt {
            self.stage = Stage::Wait(Duration::ZERO);
        }
    }

    /// Returns whether the run notes its time.
    #[inline]
    pub fn is_timed(&self) -> bool {
        self.timing.is_kept
    }

    /// Returns when the present attempt's time is over, by the clock of runs.
    #[inline]
    pub fn ends(&self) -> Option<Instant> {
        self.timing.ends
    }

    /// Returns the time from the run's beginning to that of the present attempt, as far as it was
    /// noted.
    #[inline]
    pub fn elapsed(&self) -> Duration {
        self.timing.attempt.saturating_duration_since(self.timing.started)
    }

    /// Returns what it means if the present attempt's time is over.
    pub fn timeout(&self) -> TimeoutExceeded {
        let attempts = self.attempts.saturating_add(1);
        match self.plan.attempt_timeout {
            Some(timeout) if self.timing.ends != self.timing.deadline => {
                TimeoutExceeded::new(timeout, TimeoutScope::Attempt, attempts)
            }
            _ => self.run_timeout(attempts),
        }
    }

    fn run_timeout(&self, attempts: u32) -> TimeoutExceeded {
        let deadline = self.timing.deadline.unwrap_or(self.timing.started);
        let timeout = deadline.saturating_duration_since(self.timing.started);
        TimeoutExceeded::new(timeout, TimeoutScope::Run, attempts)
    }

    /// Notes when the run begins, where that matters.
    #[cold]
    #[inline(never)]
    pub(super) fn begin<C: Clocks>(&mut self, clocks: &mut C) -> Result<(), C::Error> {
        if self.timing.is_kept || self.plan.is_timed() {
            self.timing.begin(clocks.run()?, self.plan.timeout);
        }
        Ok(())
    }

    fn read<C: Clocks>(&self, clocks: &mut C) -> Result<Instant, C::Error> {
        self.timing.fresh.map_or_else(|| clocks.run(), Ok)
    }

    /// Says how long to wait for quota: a wait that ends with the run's time is of no use.
    #[cold]
    #[inline(never)]
    pub(super) fn acquire_in_time<C: Clocks>(&mut self, clocks: &mut C) -> Result<Step, C::Error> {
        let Some(deadline) = self.timing.deadline else {
            return Ok(Step::Acquire { timeout: self.patience });
        };
        let now = self.read(clocks)?;
        if now >= deadline {
            return Ok(self.too_late());
        }
        let left = deadline.saturating_duration_since(now) - Duration::from_nanos(1);
        self.timing.is_hurried = self.patience.is_none_or(|patience| left < patience);
        let timeout = if self.timing.is_hurried { Some(left) } else { self.patience };
        Ok(Step::Acquire { timeout })
    }

    /// Notes when an attempt begins and has to end; a step to take instead if it is too late.
    #[cold]
    #[inline(never)]
    pub(super) fn time_attempt<C: Clocks>(
        &mut self,
        clocks: &mut C,
    ) -> Result<Option<Step>, C::Error> {
        let now = self.read(clocks)?;
        if self.timing.deadline.is_some_and(|deadline| now >= deadline) {
            return Ok(Some(self.too_late()));
        }
        self.timing.begin_attempt(now, self.plan.attempt_timeout);
        Ok(None)
    }

    /// Ends a run whose time is over between two attempts, which says nothing about the other side.
    fn too_late(&mut self) -> Step {
        self.give_back();
        let stop = match self.attempts {
            0 => Stop::TimeoutExceeded(self.run_timeout(0)),
            _ => Stop::RetryExhausted(StopReason::Deadline),
        };
        self.stage = self.stop(stop);
        Step::Stop(stop)
    }

    /// Says what a value counts as: one that came too late is a failure of the other side.
    #[cold]
    #[inline(never)]
    pub(super) fn in_time<C: Clocks>(
        &mut self,
        outcome: Outcome,
        clocks: &mut C,
    ) -> Result<Outcome, C::Error> {
        let now = clocks.run()?;
        if !self.timing.is_late(now) {
            return Ok(outcome);
        }
        self.plan.ledger.timeout();
        Ok(Outcome::Failure)
    }

    /// Returns the time, where the run notes it.
    #[inline]
    pub(super) fn note_end<C: Clocks>(&self, clocks: &mut C) -> Result<Option<Instant>, C::Error> {
        if self.timing.is_kept { clocks.run().map(Some) } else { Ok(None) }
    }

    /// Counts an attempt that took too long.
    pub(super) fn count_late(&self, ended: Option<Instant>) {
        if ended.is_some_and(|ended| self.timing.is_late(ended)) {
            self.plan.ledger.timeout();
        }
    }

    #[inline]
    pub(super) fn has_deadline(&self) -> bool {
        self.timing.deadline.is_some()
    }

    #[inline]
    pub(super) fn has_end(&self) -> bool {
        self.timing.ends.is_some()
    }
}

fn sooner(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        _ => one.or(other),
    }
}
