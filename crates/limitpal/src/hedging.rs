//! When a slow attempt is to get another try: after a delay, or a percentile of what is usual.

mod latency;

use std::time::Duration;

pub(crate) use self::latency::Latency;
use crate::config::{HUNDRED_YEARS, InvalidConfig, at_least_one, positive};

/// The most hedges that one attempt may have.
const MOST_HEDGES: u32 = 10;

/// When there may be a hedge, and how many.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HedgeSettings {
    /// How long a try may take before the next one starts; with a percentile, while too little is
    /// known.
    pub delay: Option<Duration>,
    /// In its place, this percentile of the latency of first tries that gave a value.
    pub percentile: Option<f64>,
    /// How many latencies must be known.
    pub min_samples: u32,
    /// How many hedges one attempt may have.
    pub max_hedges: u32,
    /// How many hedges there may be for each call.
    pub max_extra_load: f64,
    /// How many hedges a second there may be besides.
    pub minimum_per_second: f64,
    /// For how long calls, hedges and latencies are remembered.
    pub window: Duration,
}

impl HedgeSettings {
    /// Returns the settings, if each is within its range.
    ///
    /// # Errors
    ///
    /// Neither a delay nor a percentile, or a number outside its range.
    pub fn checked(self) -> Result<Self, InvalidConfig> {
        if let Some(percentile) = self.percentile
            && !(percentile > 0.0 && percentile < 100.0)
        {
            let advice = "give a number above 0 and below 100";
            return Err(InvalidConfig::new("percentile", percentile, advice));
        }
        match self.delay {
            None if self.percentile.is_none() => {
                let advice = "give a time, or a percentile of the latency";
                return Err(InvalidConfig::new("delay", "missing", advice));
            }
            Some(delay) if delay > HUNDRED_YEARS => {
                let advice = "give a time of 100 years at most";
                return Err(InvalidConfig::new("delay", format_args!("{delay:?}"), advice));
            }
            _ => {}
        }
        at_least_one("min_samples", self.min_samples.into())?;
        if !(1..=MOST_HEDGES).contains(&self.max_hedges) {
            let advice = format!("give a whole number from 1 to {MOST_HEDGES}");
            return Err(InvalidConfig::new("max_hedges", self.max_hedges, advice));
        }
        if !(0.0..=1.0).contains(&self.max_extra_load) {
            let advice = "give a number from 0 to 1";
            return Err(InvalidConfig::new("max_extra_load", self.max_extra_load, advice));
        }
        if !(0.0..=1e6).contains(&self.minimum_per_second) {
            let (value, advice) = (self.minimum_per_second, "give a number from 0 to 1000000");
            return Err(InvalidConfig::new("minimum_per_second", value, advice));
        }
        positive("window", self.window)?;
        Ok(self)
    }

    /// Refuses a delay after which an attempt of at most this long would be over.
    pub(crate) fn begins_within(&self, longest: Duration) -> Result<(), InvalidConfig> {
        match self.delay {
            Some(delay) if delay >= longest && self.percentile.is_none() => {
                let advice = format!("give less than an attempt may last ({longest:?})");
                Err(InvalidConfig::new("delay", format_args!("{delay:?}"), advice))
            }
            _ => Ok(()),
        }
    }
}

impl Default for HedgeSettings {
    /// Neither a delay nor a percentile: one of them is to be set.
    fn default() -> Self {
        Self {
            delay: None,
            percentile: None,
            min_samples: 100,
            max_hedges: 1,
            max_extra_load: 0.1,
            minimum_per_second: 1.0,
            window: Duration::from_secs(30),
        }
    }
}
