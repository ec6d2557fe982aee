//! A retry budget as threads share it.

use std::sync::PoisonError;

use crate::budget::{Budget, BudgetSettings, Charged};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// The shared state of one retry budget, for those who write a loop of their own.
///
/// Every method that needs the time takes `read`, which is called before the lock is taken; what
/// it fails with comes out unchanged, and nothing is counted then.
#[derive(Debug)]
pub struct BudgetCell {
    settings: BudgetSettings,
    budget: Mutex<Budget>,
}

impl BudgetCell {
    /// Makes a budget that has counted nothing.
    pub fn new(settings: BudgetSettings) -> Self {
        Self { settings, budget: Mutex::new(Budget::new(settings)) }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> BudgetSettings {
        self.settings
    }

    /// Returns how many more retries there may be now.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn left<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<u64, E> {
        self.change_at(read, |budget| budget.left())
    }

    /// Counts a call, of which a share may be retried.
    pub(crate) fn count_call<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<(), E> {
        self.change_at(read, Budget::count_call)
    }

    /// Charges a retry, if there may be one.
    pub(crate) fn charge<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Option<Charged>, E> {
        self.change_at(read, Budget::charge)
    }

    /// Gives back a retry that there was not.
    pub(crate) fn give_back(&self, charged: Charged) {
        self.lock().give_back(charged);
    }

    /// Changes the counts at the present time.
    ///
    /// A reading from before the present slice may be that of a preempted thread, so it is read
    /// again. Only a fresh one from before it means that the clock was set back.
    fn change_at<R, E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        change: impl FnOnce(&mut Budget) -> R,
    ) -> Result<R, E> {
        let mut seen = None;
        loop {
            let now = read()?;
            let mut budget = self.lock();
            let ahead = budget.ahead_of(now);
            if ahead.is_none() || ahead == seen {
                budget.advance(now);
                return Ok(change(&mut budget));
            }
            seen = ahead;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Budget> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
