//! What is counted while calls go through, and whether it is enough to trip.

use std::time::Duration;

use super::settings::BreakerSettings;
use super::window::Window;
use crate::circuit_state::MoveReason;
use crate::outcome::Outcome;
use crate::time::Instant;

/// The counts of a circuit's rules.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Failures in a row.
    pub(super) failures: u32,
    /// One for each rule about a share of calls.
    pub(super) windows: Box<[Window]>,
}

impl Tally {
    pub(super) fn new(settings: &BreakerSettings) -> Self {
        let windows = settings.rates.iter().map(|rate| Window::new(rate.look_back)).collect();
        Self { failures: 0, windows }
    }

    /// Counts a call, and returns which rule trips, the first of several.
    pub(super) fn hear(
        &mut self,
        settings: &BreakerSettings,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
    ) -> Option<MoveReason> {
        self.failures = match outcome {
            Outcome::Success => 0,
            Outcome::Failure => self.failures.saturating_add(1),
        };
        let is_too_long = settings.consecutive.is_some_and(|limit| self.failures >= limit);
        let mut tripped = is_too_long.then_some(MoveReason::ConsecutiveFailures);
        // All of them count it, also where one has tripped already.
        for (rate, window) in settings.rates.iter().zip(&mut self.windows) {
            let counts = window.put(rate.is_bad(outcome, took), now);
            if rate.trips_at(counts.bad, counts.calls) {
                tripped = tripped.or(Some(rate.reason()));
            }
        }
        tripped
    }

    /// Returns whether a success would change nothing, whenever it comes.
    pub(super) fn needs_no_success(&self) -> bool {
        self.failures == 0 && self.windows.is_empty()
    }

    /// Returns whether nothing is remembered at `now`.
    pub(super) fn is_new(&mut self, now: Instant) -> bool {
        self.failures == 0 && self.windows.iter_mut().all(|window| window.counts(now).calls == 0)
    }

    pub(super) fn ahead_of(&self, now: Instant) -> Option<Instant> {
        self.windows.iter().filter_map(|window| window.ahead_of(now)).max()
    }

    pub(super) fn clear(&mut self) {
        self.failures = 0;
        self.windows.iter_mut().for_each(Window::clear);
    }
}
