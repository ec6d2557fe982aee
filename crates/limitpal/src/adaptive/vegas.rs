//! The limit that keeps a few calls queueing, as TCP Vegas does and Netflix's
//! [concurrency-limits](https://github.com/Netflix/concurrency-limits).

use super::step;
use crate::random::Random;

/// How many rounds at most the lowest latency is believed.
const PROBE: f64 = 30.0;

/// The lowest latency, in seconds, and when to measure it anew.
#[derive(Debug)]
pub(crate) struct Vegas {
    lowest: f64,
    rounds: f64,
    probe: f64,
    random: Random,
}

impl Vegas {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        // The first round is a probe.
        Self { lowest: f64::INFINITY, rounds: 0.0, probe: 0.0, random: Random::new(seed) }
    }

    /// Returns the limit after a round of this latency.
    pub(crate) fn next(&mut self, limit: f64, latency: f64) -> f64 {
        self.rounds += 1.0;
        if self.rounds >= self.probe {
            // By chance, so that clients of one server do not all measure at once.
            self.probe = PROBE * (0.5 + self.random.unit() / 2.0);
            self.rounds = 0.0;
            self.lowest = latency;
        }
        self.lowest = self.lowest.min(latency);
        // queue = ceil(limit * (1 - lowest / latency))
        let queue = (limit * (1.0 - self.lowest / latency)).ceil();
        let step = step(limit);
        if queue <= step {
            limit + 6.0 * step
        } else if queue < 3.0 * step {
            limit + step
        } else if queue > 6.0 * step {
            limit - step
        } else {
            limit
        }
    }
}
