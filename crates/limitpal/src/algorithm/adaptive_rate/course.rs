//! Where a rate goes: down when the other side throttles, up with each success.

use super::Heard;
use super::kept::{number, past, put_past};
use super::settings::{AdaptiveRateSettings, RateAlgorithm};
use crate::algorithm::Bytes;
use crate::rate::Rate;
use crate::time::Instant;

/// The rate, and what it follows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Course {
    /// Permits a second.
    pub(super) rate: f64,
    /// The rate at which the other side throttled last; the one at the start before that.
    peak: f64,
    /// When that was.
    since: Instant,
    throttled: bool,
}

impl Course {
    pub(super) fn new(initial: f64, now: Instant) -> Self {
        Self { rate: initial, peak: initial, since: now, throttled: false }
    }

    /// Returns whether it differs from a new one.
    pub(super) fn has_learned(&self, settings: &AdaptiveRateSettings) -> bool {
        self.throttled || self.rate != settings.initial_rate.as_per_second()
    }

    /// Hears what was said to a call; `measured` is how many permits go a second.
    pub(super) fn hear(
        &mut self,
        settings: &AdaptiveRateSettings,
        heard: Heard,
        measured: f64,
        now: Instant,
    ) {
        match heard {
            Heard::Success => self.rise(settings, measured, now),
            Heard::Throttled => {
                // Those that went before the rate came down are thrown out a little later.
                if !self.throttled || now >= self.since + settings.cooldown {
                    self.fall(settings, measured, now);
                }
            }
        }
    }

    fn rise(&mut self, settings: &AdaptiveRateSettings, measured: f64, now: Instant) {
        let proposed = match settings.algorithm {
            RateAlgorithm::Cubic => {
                // k = cbrt(peak * (1 - decrease) / 0.4), rate = 0.4 * (t - k)^3 + peak
                let t = now.saturating_duration_since(self.since).as_secs_f64();
                let k = if self.throttled { settings.plateau(self.peak) } else { 0.0 };
                AdaptiveRateSettings::SCALE * (t - k).powi(3) + self.peak
            }
            // So it rises by `increase` a second where all of it is used.
            RateAlgorithm::Aimd => self.rate + settings.increase() / self.rate,
        };
        let least = if self.throttled { settings.min_rate } else { settings.initial_rate };
        let (least, most) = (least.as_per_second(), settings.max_rate.as_per_second());
        self.rate = proposed.min(2.0 * measured).clamp(least, most);
    }

    fn fall(&mut self, settings: &AdaptiveRateSettings, measured: f64, now: Instant) {
        self.peak = if measured > 0.0 { self.rate.min(measured) } else { self.rate };
        self.rate = (settings.decrease() * self.peak).max(settings.min_rate.as_per_second());
        (self.since, self.throttled) = (now, true);
    }

    /// Stays within other bounds. A rate at which all start stays that.
    pub(super) fn bound(&mut self, old: &AdaptiveRateSettings, new: &AdaptiveRateSettings) {
        let [most, initial, least] =
            [new.max_rate, new.initial_rate, new.min_rate].map(Rate::as_per_second);
        self.rate = match self.throttled {
            true => self.rate.clamp(least, most),
            false if !self.has_learned(old) => initial,
            false => self.rate.clamp(initial, most),
        };
        self.peak = if self.throttled { self.peak.min(most) } else { initial };
    }

    pub(super) fn save(&self, now: Instant, into: &mut Vec<u8>) {
        into.extend(
            [self.rate, self.peak].into_iter().flat_map(|rate| rate.to_bits().to_le_bytes()),
        );
        put_past(now, self.since, into);
        into.push(self.throttled.into());
    }

    pub(super) fn load(
        from: &mut Bytes<'_>,
        now: Instant,
        settings: &AdaptiveRateSettings,
    ) -> Option<Self> {
        let bounds = settings.min_rate.as_per_second()..=settings.max_rate.as_per_second();
        let rate = number(from).filter(|rate| bounds.contains(rate))?;
        let peak = number(from).filter(|peak| peak <= bounds.end())?;
        let since = past(from, now)?;
        let [throttled] = from.array()?;
        let throttled = (throttled <= 1).then_some(throttled == 1)?;
        Some(Self { rate, peak, since, throttled })
    }
}
