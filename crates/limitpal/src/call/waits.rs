//! What a run hears of its waits: for quota, for a place, and between two attempts.

use std::ops::Deref;
use std::time::Duration;

use super::{Asked, Call, Charge, Plan, Stage, Stop, quota_or_attempt};
use crate::refusal::BulkheadFull;
use crate::retry_after::RetryAfter;

impl<P: Deref<Target = Plan>> Call<P> {
    /// Hears that quota was granted after this wait.
    #[inline]
    pub fn granted(&mut self, waited: Duration) {
        self.patience = self.patience.map(|patience| patience.saturating_sub(waited));
        let has_waited = !waited.is_zero();
        if has_waited {
            self.timing.has_waited(waited);
            self.plan.ledger.waited(waited);
            self.note_wait(waited, Duration::ZERO);
        }
        self.stage = if has_waited { Stage::Ask(Asked::Attempt) } else { Stage::Attempt };
    }

    /// Hears that there is no quota in time.
    pub fn refused(&mut self, retry_after: RetryAfter) {
        self.give_back();
        let stop = Stop::refused(self.attempts, retry_after, || self.timing.no_quota());
        self.stage = self.stop(stop);
    }

    /// Hears that the bulkhead has no place in time.
    #[cold]
    pub fn full(&mut self, refusal: BulkheadFull) {
        self.give_back();
        self.stage = self.stop(Stop::full(self.attempts, refusal));
    }

    /// Hears that the wait between two attempts is over.
    pub fn slept(&mut self) {
        if let Stage::Wait(delay) = self.stage {
            self.timing.has_waited(delay);
            self.plan.ledger.backed_off(delay);
            self.note_wait(Duration::ZERO, delay);
        }
        let next = match self.plan.charge {
            Charge::Call => Asked::Attempt,
            Charge::Attempt => quota_or_attempt(&self.plan),
        };
        self.stage = Stage::Ask(next);
    }
}
