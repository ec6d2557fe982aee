//! A bucket whose rate follows what the other side says to the calls it let through.

mod changed;
mod course;
mod flow;
mod kept;
mod meter;
mod settings;

use std::fmt;
use std::time::Duration;

use self::course::Course;
use self::flow::Flow;
use self::meter::Meter;
pub use self::settings::{AdaptiveRateSettings, RateAlgorithm};
use super::window::{Undone, mark, span};
use super::{Algorithm, Carry, Limits, Mark, Window};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// What the other side said to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It did what it was asked.
    Success,
    /// It was asked too often: a 429, say.
    Throttled,
}

/// A bucket whose rate follows successes and throttling. It has no clock and no lock.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdaptiveRate {
    settings: AdaptiveRateSettings,
    /// The fastest that permits come, in parts of one for each nanosecond.
    fastest: u64,
}

/// How long what was measured counts where nothing has been learned yet.
const MEASURED: Duration = Duration::from_secs(10);

/// One key's bucket, its rate, and what that was found from: some 150 bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Adapted {
    flow: Flow,
    meter: Meter,
    course: Course,
    /// When it last took or heard anything.
    used: Instant,
}

impl AdaptiveRate {
    /// Checks the settings.
    pub fn new(settings: AdaptiveRateSettings) -> Result<Self, InvalidConfig> {
        settings.check()?;
        Ok(Self { settings, fastest: flow::parts_per_nano(settings.max_rate.as_per_second()) })
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> &AdaptiveRateSettings {
        &self.settings
    }

    /// Returns how many permits there are a second.
    pub fn rate(&self, state: &Adapted, now: Instant) -> f64 {
        self.at(state, now).course.rate
    }

    /// Hears what was said to a call, and returns whether the rate has changed by it.
    pub(crate) fn hear(&self, state: &mut Adapted, heard: Heard, now: Instant) -> bool {
        // Whoever was never throttled is at the rate at which all start.
        if heard == Heard::Success && self.fresh_at(state) <= now {
            return false;
        }
        self.renew(state, now);
        state.used = state.used.max(now);
        let (before, measured) = (state.course.rate, state.meter.measured());
        state.course.hear(&self.settings, heard, measured, now);
        if state.course.rate == before {
            return false;
        }
        state.flow.change(flow::parts_per_nano(state.course.rate).min(self.fastest), now);
        true
    }

    /// Starts anew if nobody can tell any more whether it was forgotten.
    #[inline]
    fn renew(&self, state: &mut Adapted, now: Instant) {
        if self.fresh_at(state) <= now {
            *state = self.started(now);
        }
    }

    /// Returns a state as it is now, which may be as new.
    fn at(&self, state: &Adapted, now: Instant) -> Adapted {
        if self.fresh_at(state) <= now { self.started(now) } else { *state }
    }

    fn started(&self, now: Instant) -> Adapted {
        let initial = self.settings.initial_rate.as_per_second();
        let flow = Flow::new(flow::parts_per_nano(initial), self.fastest, now);
        Adapted { flow, meter: Meter::new(now), course: Course::new(initial, now), used: now }
    }
}

impl Algorithm for AdaptiveRate {
    type State = Adapted;

    fn name(&self) -> &'static str {
        "AdaptiveLimiter"
    }

    fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        self.settings.show(into);
    }

    fn limits(&self) -> Limits {
        Limits::some(Some(self.settings.burst), Some(self.settings.max_rate), None)
    }

    fn changed(&self, limits: &Limits) -> Result<Self, InvalidConfig> {
        Self::new(self.settings.changed(limits)?)
    }

    fn capacity(&self) -> u32 {
        self.settings.burst
    }

    /// Whatever it hears, it is never faster than `max_rate`: `burst + max_rate * W`.
    fn bound(&self, window: Duration) -> u64 {
        self.settings.fastest_bucket().map_or(u64::MAX, |bucket| bucket.bound(window))
    }

    fn fresh(&self) -> Adapted {
        Adapted { used: Instant::MIN, ..self.started(Instant::MIN) }
    }

    fn fresh_at(&self, state: &Adapted) -> Instant {
        if state.used == Instant::MIN {
            return Instant::MIN;
        }
        let learned = state.course.has_learned(&self.settings);
        let idle = if learned {
            self.settings.forget_after
        } else {
            self.settings.forget_after.min(MEASURED)
        };
        state.flow.full_at().max(state.used + idle)
    }

    fn full_at(&self, state: &Adapted) -> Instant {
        state.flow.full_at()
    }

    #[inline]
    fn take(&self, state: &mut Adapted, cost: u64, now: Instant) -> Option<Mark> {
        self.renew(state, now);
        if !state.flow.has(cost, self.settings.burst, now) {
            return None;
        }
        Some(self.put(state, cost, now))
    }

    fn turn(&self, state: &Adapted, cost: u64, now: Instant) -> Instant {
        self.at(state, now).flow.due(cost, self.settings.burst, now)
    }

    fn retry_after(&self, state: &Adapted, cost: u64, now: Instant) -> RetryAfter {
        if !self.serves(cost) {
            return RetryAfter::Never;
        }
        RetryAfter::wait(span(now, self.turn(state, cost, now)))
    }

    fn decision(&self, state: &Adapted, answer: RetryAfter, now: Instant) -> Decision {
        let (burst, flow) = (self.settings.burst, self.at(state, now).flow);
        Decision::new(burst, flow.left(burst, now), answer, span(now, flow.full_at()))
    }
}

impl Window for AdaptiveRate {
    fn held(&self) -> Adapted {
        let fresh = self.fresh();
        Adapted { flow: fresh.flow.held(), used: Instant::MAX, ..fresh }
    }

    #[inline]
    fn put(&self, state: &mut Adapted, cost: u64, at: Instant) -> Mark {
        self.renew(state, at);
        state.used = state.used.max(at);
        state.flow.put(cost, at);
        state.meter.count(cost, at);
        mark(at)
    }

    /// In a plan nobody measures what goes: no turn depends on it.
    fn put_many(&self, state: &mut Adapted, cost: u64, count: u64, from: Instant) -> Instant {
        self.renew(state, from);
        // One who goes after so long a wait goes by what is known of a new key.
        let wait = f64::from(self.settings.burst) / state.course.rate;
        if wait >= self.settings.forget_after.min(MEASURED).as_secs_f64() {
            return (0..count).fold(from, |from, _| {
                let due = self.turn(state, cost, from);
                self.put(state, cost, due);
                due
            });
        }
        let last = state.flow.put_many((cost, count), self.settings.burst, from);
        state.used = state.used.max(last);
        last
    }

    fn carried(&self, old: &Self, state: &Adapted, carry: Carry, now: Instant) -> Adapted {
        self.adapted_as(old, state, carry, now)
    }

    fn undo_last(&self, state: &mut Adapted, cost: u64, now: Instant) {
        if self.fresh_at(state) > now && state.flow.undo_last(cost, now) {
            state.meter.discount(cost, now);
        }
    }

    fn undo(&self, state: &mut Adapted, cost: u64, mark: Mark, _now: Instant) -> Undone {
        let at = mark.after.ceil();
        if !state.flow.undo(cost, at, self.fastest) {
            return Undone::Not;
        }
        state.meter.discount(cost, at);
        let is_unused = state.flow.full_at() <= at && state.meter.is_new();
        if is_unused && !state.course.has_learned(&self.settings) {
            *state = self.fresh();
        }
        Undone::Wholly
    }
}
