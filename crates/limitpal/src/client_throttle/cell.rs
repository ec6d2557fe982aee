//! A client throttle's counts as threads share them.

use std::sync::PoisonError;

use crate::random::Random;
use crate::sync::{Mutex, MutexGuard};
use crate::throttle::{Answer, Counted, Counts, Throttle, ThrottleSettings};
use crate::time::Instant;

/// The shared state of one client throttle, for those who write a loop of their own.
///
/// Every method that needs the time takes `read`, which is called before the lock is taken; what
/// it fails with comes out unchanged.
#[derive(Debug)]
pub struct ThrottleCell {
    settings: ThrottleSettings,
    random: Random,
    throttle: Mutex<Throttle>,
}

impl ThrottleCell {
    /// Makes a throttle that has counted nothing; with a seed it repeats its lots.
    pub fn new(settings: ThrottleSettings, seed: Option<u64>) -> Self {
        let throttle = Mutex::new(Throttle::new(settings));
        Self { settings, random: Random::new(seed), throttle }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> ThrottleSettings {
        self.settings
    }

    /// Returns what its lots started at.
    pub fn seed(&self) -> Option<u64> {
        self.random.seed()
    }

    /// Counts a request and draws; one that is refused is told with which probability.
    ///
    /// Report with [`settle`](Self::settle) or [`take_back`](Self::take_back).
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is counted then.
    pub fn admit<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Counted, f64>, E> {
        self.change_at(read, |throttle, now| throttle.admit(now, || self.random.unit()))
    }

    /// Hears what the server said to this request.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the request is then taken back.
    pub fn settle<E>(
        &self,
        counted: Counted,
        answer: Answer,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.change_at(read, |throttle, now| throttle.settle(counted, answer, now))
            .inspect_err(|_| self.take_back(counted))
    }

    /// Counts a request no longer that never came to the server.
    pub fn take_back(&self, counted: Counted) {
        self.lock().take_back(counted);
    }

    /// Hears what the server said to some request.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn record<E>(
        &self,
        answer: Answer,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.change_at(read, |throttle, now| throttle.record(answer, now))
    }

    /// Returns how many requests were counted, those refused here included.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn requests<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<u64, E> {
        self.counts(read).map(|counts| counts.requests)
    }

    /// Returns how many the server accepted.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn accepts<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<u64, E> {
        self.counts(read).map(|counts| counts.accepts)
    }

    /// Returns the share of requests that is refused.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn rejection_probability<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<f64, E> {
        self.change_at(read, Throttle::rejection_probability)
    }

    /// Forgets all counts. Requests that are under way no longer count.
    pub fn reset(&self) {
        self.lock().reset();
    }

    fn counts<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<Counts, E> {
        self.change_at(read, Throttle::counts)
    }

    /// Changes the counts at the present time.
    ///
    /// A reading from before the present slice may be that of a preempted thread, so it is read
    /// again. Only a fresh one from before it means that the clock was set back.
    fn change_at<R, E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        change: impl FnOnce(&mut Throttle, Instant) -> R,
    ) -> Result<R, E> {
        let mut seen = None;
        loop {
            let now = read()?;
            let mut throttle = self.lock();
            let ahead = throttle.ahead_of(now);
            if ahead.is_none() || ahead == seen {
                return Ok(change(&mut throttle, now));
            }
            seen = ahead;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Throttle> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
