//! A rate that adapts, with other limits: what becomes of what was taken, and of what was learned.

use super::flow::{self, Flow};
use super::settings::AdaptiveRateSettings;
use super::{Adapted, AdaptiveRate, Algorithm};
use crate::algorithm::{Carry, Limits};
use crate::config::InvalidConfig;
use crate::rate::Rate;
use crate::time::Instant;

impl AdaptiveRateSettings {
    /// Returns the same with another `max_rate` or `burst`. A lowest rate above it comes down to
    /// it, and a first rate too; one that was the highest stays that.
    pub(super) fn changed(self, limits: &Limits) -> Result<Self, InvalidConfig> {
        let (burst, max_rate, _) = limits.get();
        let max_rate = max_rate.unwrap_or(self.max_rate);
        let most = max_rate.as_per_second();
        let lowered = |rate: Rate| if rate.as_per_second() > most { max_rate } else { rate };
        let was_highest = self.initial_rate == self.max_rate;
        let initial_rate = if was_highest { max_rate } else { lowered(self.initial_rate) };
        let min_rate = lowered(self.min_rate);
        let burst = burst.unwrap_or(self.burst);
        Ok(Self { max_rate, min_rate, initial_rate, burst, ..self })
    }
}

impl AdaptiveRate {
    /// Returns a state of one with other limits as it is of this one. What was learned stays,
    /// within the new bounds.
    pub(super) fn adapted_as(
        &self,
        old: &Self,
        state: &Adapted,
        carry: Carry,
        now: Instant,
    ) -> Adapted {
        if carry == Carry::Reset || old.fresh_at(state) <= now {
            return self.fresh();
        }
        let mut state = *state;
        state.course.bound(&old.settings, &self.settings);
        let step = flow::parts_per_nano(state.course.rate).min(self.fastest);
        let bursts = (old.settings.burst, self.settings.burst);
        let behind = state.flow.behind_as(bursts, carry, now);
        state.flow = Flow::new(step, self.fastest, now).behind(behind);
        state
    }
}
