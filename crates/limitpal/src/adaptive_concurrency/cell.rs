//! An adaptive limit and the calls in flight as threads share them.

use std::sync::PoisonError;

use crate::adaptive::{Adaptive, AdaptiveSettings};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// The shared state of one adaptive limiter, for those who write a loop of their own.
///
/// Methods that need the time take `read`, which is called before the lock is taken; what it fails
/// with comes out unchanged.
#[derive(Debug)]
pub struct AdaptiveCell {
    settings: AdaptiveSettings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    adaptive: Adaptive,
    in_flight: u32,
}

/// A place among the calls in flight: when it was taken, and how many there were then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    start: Instant,
    in_flight: u32,
}

impl AdaptiveCell {
    /// Makes a limit at its start, with nothing in flight.
    pub fn new(settings: AdaptiveSettings, seed: Option<u64>) -> Self {
        let adaptive = Adaptive::new(settings, seed);
        Self { settings, state: Mutex::new(State { adaptive, in_flight: 0 }) }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> AdaptiveSettings {
        self.settings
    }

    /// Returns how many calls may be in flight.
    pub fn limit(&self) -> u32 {
        self.lock().adaptive.limit()
    }

    /// Returns how many calls are in flight.
    pub fn in_flight(&self) -> u32 {
        self.lock().in_flight
    }

    /// Takes a place, if there is one left.
    ///
    /// Give it back once, with [`succeeded`](Self::succeeded), [`dropped`](Self::dropped) or
    /// [`ignore`](Self::ignore).
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is taken then.
    pub fn try_acquire<E>(
        &self,
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Option<Taken>, E> {
        let start = read()?;
        let mut state = self.lock();
        if state.in_flight >= state.adaptive.limit() {
            return Ok(None);
        }
        state.in_flight += 1;
        Ok(Some(Taken { start, in_flight: state.in_flight }))
    }

    /// Gives a place back whose call did what it should: its latency counts.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the call tells nothing then.
    pub fn succeeded<E>(
        &self,
        taken: Taken,
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let end = read().inspect_err(|_| self.ignore())?;
        let mut state = self.lock();
        state.in_flight -= 1;
        let rtt = end.saturating_duration_since(taken.start);
        state.adaptive.sample(rtt, taken.in_flight, false);
        Ok(())
    }

    /// Gives a place back whose call timed out or was thrown out for overload.
    pub fn dropped(&self, taken: Taken) {
        let mut state = self.lock();
        state.in_flight -= 1;
        state.adaptive.sample(std::time::Duration::ZERO, taken.in_flight, true);
    }

    /// Gives a place back whose call tells nothing.
    pub fn ignore(&self) {
        self.lock().in_flight -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
