//! How many calls may be in flight, found from their latencies and from those that were dropped.

mod aimd;
mod gradient2;
mod guard;
mod partitions;
mod round;
mod vegas;

use std::time::Duration;

use self::gradient2::Gradient2;
use self::guard::Guard;
pub use self::partitions::Partitions;
use self::round::Round;
use self::vegas::Vegas;
use crate::config::InvalidConfig;

/// How a limit of calls in flight is found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum AdaptiveAlgorithm {
    /// Compares the present latency with its long average, and lets a few calls queue.
    #[default]
    Gradient2,
    /// Reckons from the lowest latency how many calls queue, and keeps a few.
    Vegas,
    /// Knows nothing of latencies: grows until a call is dropped, and shrinks by a tenth.
    Aimd,
}

impl AdaptiveAlgorithm {
    /// Returns the algorithm as one word: `gradient2`, `vegas` or `aimd`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gradient2 => "gradient2",
            Self::Vegas => "vegas",
            Self::Aimd => "aimd",
        }
    }
}

/// Where a limit begins, and between which bounds it moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdaptiveSettings {
    algorithm: AdaptiveAlgorithm,
    min: u32,
    max: u32,
    initial: u32,
}

impl AdaptiveSettings {
    /// The lowest limit by default.
    pub const MIN: u32 = 1;
    /// The highest limit by default.
    pub const MAX: u32 = 200;

    /// Checks and keeps the settings; without an `initial` it is 20, or the bound nearest to it.
    ///
    /// # Errors
    ///
    /// A `min` of 0, a `max` below it, or an `initial` that is not between them.
    pub fn new(
        algorithm: AdaptiveAlgorithm,
        (min, max): (u32, u32),
        initial: Option<u32>,
    ) -> Result<Self, InvalidConfig> {
        if min == 0 {
            return Err(InvalidConfig::new("min", min, "give a whole number of at least 1"));
        }
        if max < min {
            let advice = format!("give a whole number of at least min ({min})");
            return Err(InvalidConfig::new("max", max, advice));
        }
        let initial = initial.unwrap_or_else(|| 20.clamp(min, max));
        if !(min..=max).contains(&initial) {
            let advice = format!("give a whole number from min ({min}) to max ({max})");
            return Err(InvalidConfig::new("initial", initial, advice));
        }
        Ok(Self { algorithm, min, max, initial })
    }

    /// Returns how the limit is found.
    pub fn algorithm(&self) -> AdaptiveAlgorithm {
        self.algorithm
    }

    /// Returns the lowest limit.
    pub fn min(&self) -> u32 {
        self.min
    }

    /// Returns the highest limit.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// Returns the limit at the start.
    pub fn initial(&self) -> u32 {
        self.initial
    }
}

/// A limit that follows what calls tell. It has no clock and no lock.
///
/// It moves once in a round, which is as many calls as the limit, ten at least: about as long as
/// it takes until calls begun under the new limit end.
#[derive(Debug)]
pub struct Adaptive {
    settings: AdaptiveSettings,
    limit: f64,
    round: Round,
    guard: Guard,
    state: State,
}

#[derive(Debug)]
enum State {
    Gradient2(Gradient2),
    Vegas(Vegas),
    Aimd,
}

/// How many calls tell enough to move the limit.
const SHORTEST_ROUND: u32 = 10;
/// How many times the calls in flight a limit may be: one that nobody uses has never been tried.
const UNUSED: f64 = 5.0;

impl Adaptive {
    /// Makes a limit at its start. The seed says when Vegas measures its lowest latency anew.
    pub fn new(settings: AdaptiveSettings, seed: Option<u64>) -> Self {
        let state = match settings.algorithm {
            AdaptiveAlgorithm::Gradient2 => State::Gradient2(Gradient2::default()),
            AdaptiveAlgorithm::Vegas => State::Vegas(Vegas::new(seed)),
            AdaptiveAlgorithm::Aimd => State::Aimd,
        };
        let limit = settings.initial.into();
        Self { settings, limit, round: Round::default(), guard: Guard::default(), state }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> AdaptiveSettings {
        self.settings
    }

    /// Returns how many calls may be in flight.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Hears how long a call took that was one of so many in flight when it began, or that it was
    /// dropped, and returns the limit from now on.
    ///
    /// What was dropped tells nothing by how long it took: a failure is often fast. Neither does a
    /// call that took no time at all.
    pub fn sample(&mut self, rtt: Duration, in_flight: u32, dropped: bool) -> u32 {
        if dropped {
            self.round.add_dropped(in_flight);
        } else if !rtt.is_zero() {
            self.round.add(rtt, in_flight);
        }
        if self.round.calls() >= self.limit().max(SHORTEST_ROUND) {
            let round = std::mem::take(&mut self.round);
            let (min, max) = (self.settings.min.into(), self.settings.max.into());
            self.limit = self.after(&round).clamp(min, max);
        }
        self.limit()
    }

    /// Returns the limit after a round.
    fn after(&mut self, round: &Round) -> f64 {
        let limit = self.limit;
        let most = f64::from(round.most_in_flight());
        if round.has_dropped() {
            return match &self.state {
                State::Gradient2(_) | State::Aimd => aimd::decreased(limit),
                State::Vegas(_) => limit - step(limit),
            };
        }
        let (latency, in_flight) = (round.latency(), round.in_flight());
        let overloaded = self.guard.sees_overload(in_flight, latency);
        let (proposed, guarded) = match &mut self.state {
            State::Gradient2(gradient2) => (gradient2.next(limit, latency), true),
            State::Vegas(vegas) => (vegas.next(limit, latency), true),
            State::Aimd => (aimd::increased(limit), false),
        };
        let is_full = most >= limit.floor();
        if guarded && overloaded && is_full || limit > UNUSED * most {
            limit - step(limit)
        } else if most < limit / 2.0 {
            limit
        } else {
            proposed
        }
    }
}

/// Returns how far a limit goes at a time: `log10(limit)`, 1 at least.
fn step(limit: f64) -> f64 {
    limit.log10().floor().max(1.0)
}
