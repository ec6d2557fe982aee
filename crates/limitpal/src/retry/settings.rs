//! The part of a retry policy that knows no error type: how many attempts, and the delays.

use std::time::Duration;

use crate::backoff::{Backoff, duration};
use crate::config::{InvalidConfig, at_least_one};
use crate::random::Random;

/// How many attempts, and how long to wait between them, checked and in seconds.
///
/// It is for those who write a loop of their own; [`RetryPolicy`](crate::RetryPolicy) is what
/// others want. A clone draws its jitter from the seed anew; share one behind an `Arc` to go on.
#[derive(Clone, PartialEq, Debug)]
pub struct RetrySettings {
    max_attempts: u32,
    backoff: Backoff,
    random: Random,
}

impl RetrySettings {
    /// Checks and keeps the settings; `delays` are the base and the longest one, in seconds.
    ///
    /// # Errors
    ///
    /// A setting outside its range, by the name [`RetryPolicy`](crate::RetryPolicy) gives it.
    pub fn new(
        max_attempts: u32,
        delays: (f64, f64),
        backoff: f64,
        jitter: f64,
        seed: Option<u64>,
    ) -> Result<Self, InvalidConfig> {
        at_least_one("max_attempts", max_attempts.into())?;
        let (base, cap) = delays;
        if !(0.0..f64::INFINITY).contains(&base) {
            let advice = "give a finite number of seconds, at least 0";
            return Err(InvalidConfig::new("base_delay", base, advice));
        }
        if !(base..f64::INFINITY).contains(&cap) {
            let advice = format!("give a finite number of seconds, at least base_delay ({base})");
            return Err(InvalidConfig::new("max_delay", cap, advice));
        }
        if !(1.0..f64::INFINITY).contains(&backoff) {
            let advice = "give a finite number of at least 1";
            return Err(InvalidConfig::new("backoff", backoff, advice));
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidConfig::new("jitter", jitter, "give a number from 0 to 1"));
        }
        let backoff = Backoff { base, factor: backoff, cap, jitter };
        Ok(Self { max_attempts, backoff, random: Random::new(seed) })
    }

    /// Returns how many attempts there are, the first one included.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Returns the delay after the first attempt, in seconds.
    pub fn base_delay(&self) -> f64 {
        self.backoff.base
    }

    /// Returns the longest delay, in seconds.
    pub fn max_delay(&self) -> f64 {
        self.backoff.cap
    }

    /// Returns what each delay is multiplied by to give the next.
    pub fn backoff(&self) -> f64 {
        self.backoff.factor
    }

    /// Returns how far a delay may stray, as a share of it.
    pub fn jitter(&self) -> f64 {
        self.backoff.jitter
    }

    /// Returns what the jitter's generator was started at.
    pub fn seed(&self) -> Option<u64> {
        self.random.seed()
    }

    /// Returns whether an attempt is left after attempt `n`, counted from 1.
    pub fn has_attempt_after(&self, n: u32) -> bool {
        n < self.max_attempts
    }

    /// Returns the seconds to wait after attempt `n`, counted from 1.
    pub fn delay_secs(&self, n: u32) -> f64 {
        self.backoff.delay(n, || self.random.unit())
    }

    /// Returns how long to wait after attempt `n`, counted from 1.
    pub fn delay(&self, n: u32) -> Duration {
        duration(self.delay_secs(n))
    }
}
