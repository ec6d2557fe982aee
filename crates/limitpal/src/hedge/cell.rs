//! What an executor counts for its hedges, as threads share it.

use std::sync::PoisonError;
use std::time::Duration;

use crate::budget::{Budget, BudgetSettings, Charged};
use crate::config::InvalidConfig;
use crate::hedging::{HedgeSettings, Latency};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// A hedge by percentile starts no sooner: where all is that fast, it could win nothing.
const SOONEST: Duration = Duration::from_millis(1);

/// The shared state of one executor's hedges, for those who write a loop of their own.
#[derive(Debug)]
pub struct HedgeCell {
    settings: HedgeSettings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Calls, and the hedges that they allow.
    load: Budget,
    latency: Option<Latency>,
    /// The latest reading of the clock.
    latest: Instant,
}

impl HedgeCell {
    /// Makes one that has counted nothing.
    ///
    /// # Errors
    ///
    /// A setting outside its range.
    pub fn new(settings: HedgeSettings) -> Result<Self, InvalidConfig> {
        let HedgeSettings { max_extra_load, minimum_per_second, window, .. } =
            settings.checked()?;
        let load = Budget::new(BudgetSettings::new(max_extra_load, minimum_per_second, window)?);
        let latency = settings.percentile.map(|percentile| Latency::new(percentile, window));
        let state = State { load, latency, latest: Instant::MIN };
        Ok(Self { settings, state: Mutex::new(state) })
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> HedgeSettings {
        self.settings
    }

    /// Returns whether anybody wants to know how long first tries take.
    pub(crate) fn wants_latency(&self) -> bool {
        self.settings.percentile.is_some()
    }

    /// Begins an attempt, which counts as a call if it is the first of its run. Returns how long a
    /// try may take before the next one; none: there are no hedges yet.
    pub(crate) fn begin(&self, now: Instant, is_first: bool) -> Option<Duration> {
        let mut state = self.at(now);
        if is_first {
            state.load.count_call();
        }
        let known = state.latency.as_ref();
        let usual = known.and_then(|known| known.percentile(self.settings.min_samples));
        usual.map(|usual| usual.max(SOONEST)).or(self.settings.delay)
    }

    /// Charges a hedge, if there may be one.
    pub(crate) fn charge(&self, now: Instant) -> Option<Charged> {
        self.at(now).load.charge()
    }

    /// Gives back a hedge that there was not.
    pub(crate) fn give_back(&self, charged: Charged) {
        self.lock().load.give_back(charged);
    }

    /// Notes how long a first try took.
    pub(crate) fn took(&self, now: Instant, latency: Duration) {
        if let Some(known) = &mut self.at(now).latency {
            known.add(latency);
        }
    }

    /// Brings everything to `now`. A reading from before the latest is that of a thread that was
    /// preempted; one from long before is that of a clock that was set back, and time goes on from
    /// there.
    fn at(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        let behind = state.latest.saturating_duration_since(now);
        let now = if behind < self.settings.window { now.max(state.latest) } else { now };
        state.latest = now;
        state.load.advance(now);
        if let Some(known) = &mut state.latency {
            known.advance(now);
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
