//! How long a circuit stays open: longer each time, until it has recovered.

use std::time::Duration;

use crate::config::{InvalidConfig, positive};
use crate::random::Random;

/// The longest time where nobody says, unless the first is longer.
const USUAL_MOST: Duration = Duration::from_secs(60);

/// The times that a circuit stays open, one trip after the other.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Growth {
    pub(super) base: Duration,
    pub(super) factor: f64,
    pub(super) most: Duration,
    pub(super) jitter: f64,
    pub(super) random: Random,
}

impl Growth {
    pub(super) fn new(
        base: Duration,
        factor: f64,
        most: Option<Duration>,
        jitter: f64,
        seed: Option<u64>,
    ) -> Result<Self, InvalidConfig> {
        positive("recovery_timeout", base)?;
        if !(1.0..f64::INFINITY).contains(&factor) {
            let advice = "give a finite number of at least 1; 2 doubles it with each trip";
            return Err(InvalidConfig::new("recovery_backoff", factor, advice));
        }
        let most = most.unwrap_or(USUAL_MOST.max(base));
        positive("max_recovery_timeout", most)?;
        if most < base {
            let advice = format!("give at least recovery_timeout, which is {base:?}");
            let most = format_args!("{most:?}");
            return Err(InvalidConfig::new("max_recovery_timeout", most, advice));
        }
        if !(0.0..=1.0).contains(&jitter) {
            let advice = "give a number from 0 to 1; 0.1 is up to a tenth more or less";
            return Err(InvalidConfig::new("recovery_jitter", jitter, advice));
        }
        Ok(Self { base, factor, most, jitter, random: Random::new(seed) })
    }

    /// Returns how long it stays open at the `n`-th trip in a row, counted from 1:
    /// `min(most, base * factor^(n-1))`, then `* U(1-jitter, 1+jitter)`, then capped again.
    pub(super) fn span(&self, n: u32) -> Duration {
        let is_steady = self.factor == 1.0 || n <= 1;
        if is_steady && self.jitter == 0.0 {
            return self.base;
        }
        let (base, most) = (self.base.as_nanos() as f64, self.most.as_nanos() as f64);
        let span = most.min(base * self.factor.powf(f64::from(n.saturating_sub(1))));
        let spread = match self.jitter {
            0.0 => 1.0,
            jitter => 1.0 - jitter + 2.0 * jitter * self.random.unit(),
        };
        Duration::from_nanos((span * spread).min(most) as u64).max(Duration::from_nanos(1))
    }
}
