//! An adaptive limit and the calls in flight as threads share them.

use std::sync::PoisonError;

use crate::adaptive::{Adaptive, AdaptiveSettings, Partitions};
use crate::config::InvalidConfig;
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// The shared state of one adaptive limiter, for those who write a loop of their own.
///
/// Methods that need the time take `read`, which is called before the lock is taken; what it fails
/// with comes out unchanged.
#[derive(Debug)]
pub struct AdaptiveCell {
    settings: AdaptiveSettings,
    partitions: Option<Partitions>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    adaptive: Adaptive,
    in_flight: u32,
    /// Of each class.
    classes: Vec<u32>,
}

impl State {
    fn give_back(&mut self, taken: Taken) {
        self.in_flight -= 1;
        if let Some(class) = taken.class {
            self.classes[class] -= 1;
        }
    }
}

/// A place among the calls in flight: when it was taken, and how many there were then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    start: Instant,
    in_flight: u32,
    class: Option<usize>,
}

impl AdaptiveCell {
    /// Makes a limit at its start, with nothing in flight.
    pub fn new(settings: AdaptiveSettings, seed: Option<u64>) -> Self {
        Self::partitioned(settings, None, seed)
    }

    /// As `new`, for classes of calls that are guaranteed shares.
    pub fn partitioned(
        settings: AdaptiveSettings,
        partitions: Option<Partitions>,
        seed: Option<u64>,
    ) -> Self {
        let adaptive = Adaptive::new(settings, seed);
        let classes = vec![0; partitions.as_ref().map_or(0, Partitions::count)];
        let state = Mutex::new(State { adaptive, in_flight: 0, classes });
        Self { settings, partitions, state }
    }

    /// Returns the classes of calls, if there are any.
    pub fn partitions(&self) -> Option<&Partitions> {
        self.partitions.as_ref()
    }

    /// Returns a class's rank.
    ///
    /// # Errors
    ///
    /// One that there is not: the error lists those there are.
    pub fn class(&self, name: &str) -> Result<usize, InvalidConfig> {
        let Some(partitions) = &self.partitions else {
            let advice = "leave it out, or make the limiter with partitions";
            return Err(InvalidConfig::new("partition", format_args!("\"{name}\""), advice));
        };
        partitions.find(name)
    }

    /// Returns how many calls of a class are in flight.
    pub fn in_flight_of(&self, class: usize) -> u32 {
        self.lock().classes[class]
    }

    /// Returns how many places a class is guaranteed now.
    pub fn places_of(&self, class: usize) -> u32 {
        let limit = self.limit();
        self.partitions.as_ref().map_or(limit, |partitions| partitions.places(class, limit))
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

    /// Takes a place, if there is one left; for whoever is of no class.
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
        self.try_acquire_as(None, read)
    }

    /// As `try_acquire`; one of a class also takes a place where none is left, if its class has
    /// fewer than it is guaranteed.
    ///
    /// # Errors
    ///
    /// What `read` fails with; nothing is taken then.
    pub fn try_acquire_as<E>(
        &self,
        class: Option<usize>,
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Option<Taken>, E> {
        let start = read()?;
        let mut state = self.lock();
        let limit = state.adaptive.limit();
        if state.in_flight >= limit {
            let (Some(partitions), Some(class)) = (&self.partitions, class) else {
                return Ok(None);
            };
            if state.classes[class] >= partitions.places(class, limit) {
                return Ok(None);
            }
        }
        state.in_flight += 1;
        if let Some(class) = class {
            state.classes[class] += 1;
        }
        Ok(Some(Taken { start, in_flight: state.in_flight, class }))
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
        let end = read().inspect_err(|_| self.ignore(taken))?;
        let mut state = self.lock();
        state.give_back(taken);
        let rtt = end.saturating_duration_since(taken.start);
        state.adaptive.sample(rtt, taken.in_flight, false);
        Ok(())
    }

    /// Gives a place back whose call timed out or was thrown out for overload.
    pub fn dropped(&self, taken: Taken) {
        let mut state = self.lock();
        state.give_back(taken);
        state.adaptive.sample(std::time::Duration::ZERO, taken.in_flight, true);
    }

    /// Gives a place back whose call tells nothing.
    pub fn ignore(&self, taken: Taken) {
        self.lock().give_back(taken);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
