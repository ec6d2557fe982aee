//! The numbers of a rate that adapts, and their defaults.

use std::fmt;
use std::time::Duration;

use crate::algorithm::{Bucket, Pace};
use crate::config::{self, HUNDRED_YEARS, InvalidConfig};
use crate::rate::Rate;

/// How a rate follows successes and throttling.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum RateAlgorithm {
    /// Comes back fast to where the other side throttled last, stays there for a while, and then
    /// tries ever higher: the congestion control CUBIC, as the AWS SDKs use it for a rate.
    #[default]
    Cubic,
    /// Rises evenly, and falls by a share: as TCP did at first.
    Aimd,
}

impl RateAlgorithm {
    /// Returns the algorithm as one word: `cubic` or `aimd`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Aimd => "aimd",
        }
    }
}

/// Between which bounds a rate moves, and how.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AdaptiveRateSettings {
    /// How the rate moves.
    pub algorithm: RateAlgorithm,
    /// The highest rate.
    pub max_rate: Rate,
    /// The lowest rate.
    pub min_rate: Rate,
    /// The rate until something is known.
    pub initial_rate: Rate,
    /// How many may go at once.
    pub burst: u32,
    /// What is left of the rate when the other side throttles; none for the algorithm's own.
    pub decrease: Option<f64>,
    /// By how much `Aimd` rises in a second; none for a three hundredth of `max_rate`.
    pub increase: Option<f64>,
    /// How long further throttling counts as one with the first.
    pub cooldown: Duration,
    /// How long a key must be idle until what was learned about it is forgotten.
    pub forget_after: Duration,
}

impl AdaptiveRateSettings {
    /// How steep the curve of `Cubic` is.
    pub(super) const SCALE: f64 = 0.4;
    /// The lowest rate by default, a second.
    pub const MIN_RATE: f64 = 0.5;

    /// Returns the defaults for a highest rate.
    ///
    /// # Errors
    ///
    /// None, for a rate that exists.
    pub fn new(max_rate: Rate) -> Result<Self, InvalidConfig> {
        let min_rate = Rate::per_second(Self::MIN_RATE.min(max_rate.as_per_second()))?;
        Ok(Self {
            algorithm: RateAlgorithm::default(),
            max_rate,
            min_rate,
            initial_rate: max_rate,
            burst: 1,
            decrease: None,
            increase: None,
            cooldown: Duration::from_millis(500),
            forget_after: Duration::from_secs(600),
        })
    }

    /// Returns what is left of the rate when the other side throttles.
    pub fn decrease(&self) -> f64 {
        self.decrease.unwrap_or(match self.algorithm {
            RateAlgorithm::Cubic => 0.7,
            // Its mean is half way down, and not three quarters up the curve.
            RateAlgorithm::Aimd => 0.9,
        })
    }

    /// Returns by how much `Aimd` rises in a second.
    pub fn increase(&self) -> f64 {
        self.increase.unwrap_or(self.max_rate.as_per_second() / 300.0)
    }

    /// Returns how long after throttling `Cubic` is back where it was.
    pub(super) fn plateau(&self, peak: f64) -> f64 {
        (peak * (1.0 - self.decrease()) / Self::SCALE).cbrt()
    }

    /// Returns a bucket that always has the highest rate.
    pub(super) fn fastest_bucket(&self) -> Result<Bucket, InvalidConfig> {
        Bucket::new(self.burst, self.max_rate, Pace::Burst)
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        let [max, min, initial] =
            [self.max_rate, self.min_rate, self.initial_rate].map(Rate::as_per_second);
        if min > max {
            let advice = format!("give a rate of at most max_rate ({max})");
            return Err(InvalidConfig::new("min_rate", min, advice));
        }
        if !(min..=max).contains(&initial) {
            let advice = format!("give a rate from min_rate ({min}) to max_rate ({max})");
            return Err(InvalidConfig::new("initial_rate", initial, advice));
        }
        Bucket::new(self.burst, self.min_rate, Pace::Burst).map_err(|error| {
            if error.parameter() == "capacity" {
                return error.about("burst");
            }
            let advice = "raise it, so that burst / min_rate is 100 years at most";
            InvalidConfig::new("min_rate", min, advice)
        })?;
        if let Some(decrease) = self.decrease.filter(|it| !(*it > 0.0 && *it < 1.0)) {
            let advice = "give a number above 0 and below 1; 0.7 takes away three tenths";
            return Err(InvalidConfig::new("decrease", decrease, advice));
        }
        self.check_increase()?;
        if self.cooldown > HUNDRED_YEARS {
            let advice = "give a time of at least 0, 100 years at most";
            return Err(InvalidConfig::new(
                "cooldown",
                format_args!("{:?}", self.cooldown),
                advice,
            ));
        }
        config::positive("forget_after", self.forget_after)
    }

    fn check_increase(&self) -> Result<(), InvalidConfig> {
        let Some(increase) = self.increase else { return Ok(()) };
        if self.algorithm != RateAlgorithm::Aimd {
            let advice =
                "leave it out, or choose the algorithm \"aimd\"; \"cubic\" has its own curve";
            return Err(InvalidConfig::new("increase", increase, advice));
        }
        if !(increase > 0.0 && increase < f64::INFINITY) {
            let advice = "give a finite number above 0, in permits a second gained in a second";
            return Err(InvalidConfig::new("increase", increase, advice));
        }
        Ok(())
    }

    pub(super) fn show(&self, into: &mut fmt::DebugStruct<'_, '_>) {
        into.field("max_rate", &self.max_rate).field("algorithm", &self.algorithm);
        into.field("min_rate", &self.min_rate).field("initial_rate", &self.initial_rate);
        into.field("burst", &self.burst).field("decrease", &self.decrease());
        if self.algorithm == RateAlgorithm::Aimd {
            into.field("increase", &self.increase());
        }
        into.field("cooldown", &self.cooldown).field("forget_after", &self.forget_after);
    }
}
