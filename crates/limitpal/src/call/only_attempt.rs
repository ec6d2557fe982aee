//! The only attempt of a run of which nothing else is kept.

use super::Plan;
use crate::circuit_breaker::Permit;

/// The only attempt of a run of which nothing else is kept: dropped, the run was cancelled.
#[must_use = "dropped, it counts a run that was cancelled"]
pub(crate) struct OnlyAttempt<'p>(Option<&'p Plan>);

impl<'p> OnlyAttempt<'p> {
    /// Begins such a run.
    #[inline]
    pub(crate) fn of(plan: &'p Plan) -> Self {
        plan.ledger.began();
        Self(Some(plan))
    }

    /// The attempt has ended; what became of it is counted elsewhere.
    #[inline]
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for OnlyAttempt<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(plan) = self.0 {
            plan.cancelled_in_attempt();
        }
    }
}

impl Plan {
    /// Counts a run that was cancelled in its only attempt, under the permit that calls share.
    #[cold]
    pub fn cancelled_in_attempt(&self) {
        self.ledger.cancelled(1);
        if let Some(breaker) = &self.breaker {
            breaker.ignore(Permit::UNCOUNTED);
        }
    }
}
