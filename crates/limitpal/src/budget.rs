//! How many retries a share of the calls and a floor allow, in a ring of slices.

use std::time::Duration;

use crate::config::{InvalidConfig, positive};
use crate::time::{Instant, nanos};

/// How many slices a window has. The oldest goes as a whole when a new one begins, so a call is
/// remembered for a whole window, or up to a twentieth of it less.
const SLICES: usize = 20;

/// How many retries there may be for so many calls.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BudgetSettings {
    ratio: f64,
    minimum_per_second: f64,
    window: Duration,
}

impl BudgetSettings {
    /// Checks and keeps the settings.
    ///
    /// # Errors
    ///
    /// A ratio that is not from 0 to 1, a minimum that is not from 0 to a million, a window that is
    /// nothing or longer than 100 years.
    pub fn new(
        ratio: f64,
        minimum_per_second: f64,
        window: Duration,
    ) -> Result<Self, InvalidConfig> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(InvalidConfig::new("ratio", ratio, "give a number from 0 to 1"));
        }
        if !(0.0..=1e6).contains(&minimum_per_second) {
            let advice = "give a number from 0 to 1000000";
            return Err(InvalidConfig::new("minimum_per_second", minimum_per_second, advice));
        }
        positive("window", window)?;
        Ok(Self { ratio, minimum_per_second, window })
    }

    /// Returns how many retries there may be for each call.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Returns how many retries a second there may be besides.
    pub fn minimum_per_second(&self) -> f64 {
        self.minimum_per_second
    }

    /// Returns for how long calls and retries are remembered.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Returns how many retries a window may have with so many calls:
    /// `ratio * calls + minimum_per_second * window`, in whole ones.
    fn allowed(&self, calls: u64) -> u64 {
        let reserve = self.minimum_per_second * self.window.as_secs_f64();
        (self.ratio * calls as f64 + reserve) as u64
    }
}

/// What was counted, in a slice or in all of them.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    calls: u64,
    retries: u64,
}

/// A retry that was charged, so that it can be given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Charged {
    slice: u64,
}

/// The calls and retries of one window that ends now. It has no clock: `now` is an argument of
/// [`advance`](Self::advance), after which the other methods mean that time.
#[derive(Debug)]
pub(crate) struct Budget {
    settings: BudgetSettings,
    slices: [Counts; SLICES],
    total: Counts,
    /// How long a slice is, in nanoseconds.
    length: i64,
    /// Which slice since the clock's zero is the present one.
    index: i64,
    /// How many slices have begun; it says where in the ring the present one lies.
    begun: u64,
}

impl Budget {
    pub(crate) fn new(settings: BudgetSettings) -> Self {
        Self {
            settings,
            slices: [Counts::default(); SLICES],
            total: Counts::default(),
            length: (nanos(settings.window) / SLICES as i64).max(1),
            index: i64::MIN,
            begun: SLICES as u64,
        }
    }

    /// Returns the present slice's index, if `now` lies in one before it: either `now` was read
    /// long before it is used here, or the clock was set back.
    pub(crate) fn ahead_of(&self, now: Instant) -> Option<i64> {
        (self.index_of(now) < self.index).then_some(self.index)
    }

    /// Forgets what is older than a window at `now`. After a step back time goes on from there,
    /// and nothing was forgotten meanwhile.
    pub(crate) fn advance(&mut self, now: Instant) {
        let index = self.index_of(now);
        let gone = index.saturating_sub(self.index).clamp(0, SLICES as i64);
        for _ in 0..gone {
            self.begun += 1;
            let oldest = std::mem::take(self.slice(self.begun));
            self.total.calls -= oldest.calls;
            self.total.retries -= oldest.retries;
        }
        self.index = index;
    }

    /// Counts a call, of which a share may be retried.
    pub(crate) fn count_call(&mut self) {
        self.slice(self.begun).calls += 1;
        self.total.calls += 1;
    }

    /// Charges a retry, if there may be one.
    pub(crate) fn charge(&mut self) -> Option<Charged> {
        if self.left() == 0 {
            return None;
        }
        self.slice(self.begun).retries += 1;
        self.total.retries += 1;
        Some(Charged { slice: self.begun })
    }

    /// Gives a retry back that there was not, unless it is forgotten already.
    pub(crate) fn give_back(&mut self, charged: Charged) {
        if self.begun - charged.slice < SLICES as u64 {
            self.slice(charged.slice).retries -= 1;
            self.total.retries -= 1;
        }
    }

    /// Returns how many more retries there may be.
    pub(crate) fn left(&self) -> u64 {
        self.settings.allowed(self.total.calls).saturating_sub(self.total.retries)
    }

    fn slice(&mut self, slice: u64) -> &mut Counts {
        &mut self.slices[(slice % SLICES as u64) as usize]
    }

    fn index_of(&self, now: Instant) -> i64 {
        now.as_nanos().div_euclid(self.length)
    }
}
