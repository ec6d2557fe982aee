//! A circuit breaker's state as threads share it: behind a lock that a healthy call never takes.

use std::sync::PoisonError;

use crate::breaker::{Breaker, BreakerSettings, CircuitState, Permit};
use crate::outcome::Outcome;
use crate::refusal::CircuitBreakerOpen;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// The shared state of one circuit breaker, for those who write a loop of their own.
///
/// Every method that may need the time takes `read`. It is called only when the time matters
/// (never while the circuit is closed and nothing failed), before the lock is taken, and what it
/// fails with comes out unchanged.
#[derive(Debug)]
pub struct BreakerCell {
    settings: BreakerSettings,
    /// What a healthy call needs to know, always as the machine has it: see [`word_of`].
    word: AtomicU64,
    breaker: Mutex<Breaker>,
}

/// Set in the word while the circuit is closed.
const CLOSED: u64 = 1;
/// Set in the word while the circuit is closed and no failure is counted.
const HEALTHY: u64 = 2;
/// Above them stands the number of the permit that calls share.
const NUMBER: u32 = 2;

impl BreakerCell {
    /// Makes a closed circuit.
    pub fn new(settings: BreakerSettings) -> Self {
        let breaker = Breaker::new(settings);
        let word = AtomicU64::new(word_of(&breaker));
        Self { settings, word, breaker: Mutex::new(breaker) }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> BreakerSettings {
        self.settings
    }

    /// Lends a permit for one call, or refuses.
    ///
    /// Report with [`record`](Self::record) or [`give_back`](Self::give_back).
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn admit<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        match self.closed_permit() {
            Some(permit) => Ok(Ok(permit)),
            None => self.change_at(read, Breaker::admit),
        }
    }

    /// Returns the permit if it is still good, and otherwise asks for another.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the permit is then as it was.
    pub fn renew<E>(
        &self,
        permit: Permit,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        match self.closed_permit() {
            Some(permit) => Ok(Ok(permit)),
            None => self.change_at(read, |breaker, now| breaker.renew(permit, now)),
        }
    }

    /// Hears how the call under this permit went, and takes the permit back.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the permit is then given back.
    #[inline]
    pub fn record<E>(
        &self,
        permit: Permit,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        if outcome == Outcome::Success && self.is_healthy() {
            return Ok(());
        }
        self.change_at(read, |breaker, now| breaker.record(permit, outcome, now))
            .inspect_err(|_| self.give_back(permit))
    }

    /// Takes a permit back whose call counts as neither success nor failure.
    #[inline]
    pub fn give_back(&self, permit: Permit) {
        // In the closed state nobody waits for a permit.
        if self.closed_permit().is_none() {
            self.change(|breaker| breaker.give_back(permit));
        }
    }

    /// Returns whether a call may go whose caller will report without showing a permit.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn allow<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<bool, E> {
        match self.closed_permit() {
            Some(_) => Ok(true),
            None => self.change_at(read, Breaker::allow),
        }
    }

    /// Hears how a call went whose caller shows no permit.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn record_bare<E>(
        &self,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        if outcome == Outcome::Success && self.is_healthy() {
            return Ok(());
        }
        self.change_at(read, |breaker, now| breaker.record_bare(outcome, now))
    }

    /// Returns the state at the time that `read` tells.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn state<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<CircuitState, E> {
        match self.closed_permit() {
            Some(_) => Ok(CircuitState::Closed),
            None => self.change_at(read, |breaker, now| breaker.state(now)),
        }
    }

    /// Closes the circuit and forgets all counts and permits.
    pub fn reset(&self) {
        self.change(Breaker::reset);
    }

    /// Returns the permit that all calls share while the circuit is closed. Nobody misses it if it
    /// is never given back.
    #[inline]
    pub fn closed_permit(&self) -> Option<Permit> {
        let word = self.word.load(Ordering::Acquire);
        (word & CLOSED != 0).then_some(Permit::numbered(word >> NUMBER))
    }

    /// Returns whether a success would change nothing.
    fn is_healthy(&self) -> bool {
        self.word.load(Ordering::Acquire) & HEALTHY != 0
    }

    /// Changes the machine at the present time.
    ///
    /// A reading that is older than what the machine holds may be that of a preempted thread, so
    /// it is read again. Only a fresh reading that is older than what was there before it means
    /// that the clock was set back.
    #[cold]
    fn change_at<R, E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        change: impl FnOnce(&mut Breaker, Instant) -> R,
    ) -> Result<R, E> {
        let mut seen = None;
        loop {
            let now = read()?;
            let mut breaker = self.lock();
            let ahead = breaker.ahead_of(now);
            if ahead.is_none() || ahead == seen {
                let answer = change(&mut breaker, now);
                self.word.store(word_of(&breaker), Ordering::Release);
                return Ok(answer);
            }
            seen = ahead;
        }
    }

    /// Changes the machine where the time does not matter.
    fn change(&self, change: impl FnOnce(&mut Breaker)) {
        let mut breaker = self.lock();
        change(&mut breaker);
        self.word.store(word_of(&breaker), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether the circuit is closed and healthy, and the permit's number, in one word.
fn word_of(breaker: &Breaker) -> u64 {
    match breaker.closed() {
        Some((number, 0)) => number << NUMBER | CLOSED | HEALTHY,
        Some((number, _)) => number << NUMBER | CLOSED,
        None => 0,
    }
}
