//! What a run tells those who listen to its executor.
//!
//! The stories are kept beside the counts, by their run's number: so a run that nobody is told of
//! carries a number that is none, and nothing to drop.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Call, Ledger, Plan, Race, Stage, Stop};
use crate::outcome::Outcome;
use crate::teller::{Event, RunEnd, Teller};
use crate::time::Instant;

/// Reads the executor's clock; none if it fails, which is no matter of the run's.
pub type Reading = Box<dyn Fn() -> Option<Instant> + Send + Sync>;

/// Which run it is, of those that are told of.
pub type RunNumber = NonZeroU64;

/// Who hears of the runs of one plan, and what is to be told of those under way.
#[derive(Default)]
pub(super) struct Stories {
    teller: Teller,
    last: AtomicU64,
    under_way: Mutex<HashMap<RunNumber, Story>>,
}

/// What is to be told of one run.
struct Story {
    key: Arc<str>,
    read: Reading,
    began: Option<Instant>,
    /// The attempt that was told of last.
    attempt: u32,
    /// The error of the attempt that is about to end.
    error: (Arc<str>, Arc<str>),
    waited: Duration,
    backed_off: Duration,
}

impl Stories {
    #[inline]
    pub(super) fn teller(&self) -> &Teller {
        &self.teller
    }

    #[cold]
    fn begin(&self, key: &str, read: Reading) -> RunNumber {
        let run = RunNumber::MIN.saturating_add(self.last.fetch_add(1, Ordering::Relaxed));
        let (key, none): (Arc<str>, Arc<str>) = (key.into(), "".into());
        self.teller.tell(&Event::RunBegan { key: key.clone(), run: run.get() });
        let began = read();
        let (error, waited, backed_off) = ((none.clone(), none), Duration::ZERO, Duration::ZERO);
        let story = Story { key, read, began, attempt: 0, error, waited, backed_off };
        self.lock().insert(run, story);
        run
    }

    /// Goes on with a story, and tells what comes of that.
    #[cold]
    fn go_on(&self, run: RunNumber, tell: impl FnOnce(&mut Story, Arc<str>, u64) -> Option<Event>) {
        let event = self.lock().get_mut(&run).and_then(|story| {
            let key = Arc::clone(&story.key);
            tell(story, key, run.get())
        });
        if let Some(event) = event {
            self.teller.tell(&event);
        }
    }

    #[cold]
    #[inline(never)]
    fn end(&self, run: RunNumber, end: RunEnd, attempts: u32) {
        // Read, told and dropped under no lock.
        let Some(story) = self.lock().remove(&run) else { return };
        let Story { key, read, began, waited, backed_off, .. } = story;
        let lasted = began.zip(read()).map(|(began, now)| now.saturating_duration_since(began));
        let run = run.get();
        let ended = Event::RunEnded { key, run, end, attempts, waited, backed_off, lasted };
        self.teller.tell(&ended);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunNumber, Story>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Deref<Target = Plan>> Call<P> {
    /// Has those who listen to the executor hear of this run: to be asked for before its first step.
    /// Where nobody listens it does nothing.
    #[inline]
    pub fn observe(&mut self, key: &str, read: impl FnOnce() -> Reading) {
        if self.plan.ledger.teller().is_heard() {
            self.story = Some(self.plan.ledger.stories().begin(key, read()));
        }
    }

    /// Returns which of the runs it is that are told of; none where it is not.
    #[inline]
    pub fn story(&self) -> Option<RunNumber> {
        self.story
    }

    /// Notes what the error is, and what it says, of the attempt whose failure comes next.
    #[cold]
    pub fn describe(&mut self, error: &str, words: &str) {
        let Some(run) = self.story else { return };
        self.plan.ledger.stories().go_on(run, |story, _, _| {
            story.error = (error.into(), words.into());
            None
        });
    }

    /// Tells of an attempt that begins, the first time that it is heard of.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_attempt(&self, run: RunNumber) {
        let attempt = self.attempts.saturating_add(1);
        self.plan.ledger.stories().go_on(run, |story, key, run| {
            let is_new = attempt > std::mem::replace(&mut story.attempt, attempt);
            is_new.then_some(Event::AttemptBegan { key, run, attempt })
        });
    }

    /// Tells of an attempt that failed, before anything comes of it.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_failure(&self, retryable: bool, outcome: Option<Outcome>) {
        let Some(run) = self.story else { return };
        let outcome = outcome.filter(|_| self.plan.breaker.is_some());
        let attempt = self.attempts;
        self.plan.ledger.stories().go_on(run, |story, key, run| {
            let (error, words) = std::mem::replace(&mut story.error, ("".into(), "".into()));
            let about =
                Event::AttemptFailed { key, run, attempt, error, words, retryable, outcome };
            Some(about)
        });
    }

    /// Tells of a wait before another attempt.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_wait(&self, delay: Duration) {
        let Some(run) = self.story else { return };
        let attempt = self.attempts.saturating_add(1);
        self.plan
            .ledger
            .stories()
            .go_on(run, |_, key, run| Some(Event::RetryPlanned { key, run, attempt, delay }));
    }

    /// Notes a wait that is over: for quota, and between attempts.
    #[cold]
    pub(super) fn note_wait(&self, waited: Duration, backed_off: Duration) {
        let Some(run) = self.story else { return };
        self.plan.ledger.stories().go_on(run, |story, _, _| {
            story.waited = story.waited.saturating_add(waited);
            story.backed_off = story.backed_off.saturating_add(backed_off);
            None
        });
    }

    /// Tells how the run has ended, once all that it held has gone back.
    #[cold]
    #[inline(never)]
    pub(super) fn tell_end(&self, run: RunNumber) {
        let is_in_attempt = !self.is_over && self.stage == Stage::Attempt;
        let end = match self.stage {
            Stage::Stop(stop) => end_of(stop),
            _ if self.is_over => RunEnd::Success,
            _ => RunEnd::Cancelled,
        };
        self.plan.ledger.stories().end(run, end, self.attempts + u32::from(is_in_attempt));
    }
}

/// Returns how a run has ended that gave no value.
fn end_of(stop: Stop) -> RunEnd {
    match stop {
        Stop::RateLimitExceeded(_) => RunEnd::RefusedByLimiter,
        Stop::CircuitBreakerOpen(_) => RunEnd::RefusedByBreaker,
        Stop::BulkheadFull(_) => RunEnd::RefusedByBulkhead,
        Stop::TimeoutExceeded(timeout) if timeout.attempts() == 0 => RunEnd::RefusedByTimeout,
        Stop::TimeoutExceeded(_) => RunEnd::TimedOut,
        Stop::RetryExhausted(reason) => RunEnd::Exhausted(reason),
        Stop::Failed => RunEnd::Failed,
    }
}

impl<P: Deref<Target = Plan>> Race<P> {
    /// Has its hedges told of, as those of this attempt.
    #[must_use]
    pub fn told_as(mut self, run: Option<RunNumber>, attempt: u32) -> Self {
        self.told_as = run.map(|run| (run, attempt));
        self
    }

    pub(super) fn tell_hedge(&self, hedge: u32) {
        let Some((run, attempt)) = self.told_as else { return };
        self.plan
            .ledger
            .stories()
            .go_on(run, |_, key, run| Some(Event::HedgeStarted { key, run, attempt, hedge }));
    }
}

impl Ledger {
    /// Returns who hears of the runs.
    #[inline]
    pub fn teller(&self) -> &Teller {
        self.stories().teller()
    }
}
