//! One showing as numbers: who asks how often, and what the provider does to them.

use std::time::Duration;

/// What both clients face alike. Times count from the start of a client's turn.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) requests: u32,
    pub(crate) seed: u64,
    pub(crate) outage: Duration,
}

impl Plan {
    pub(crate) const BURSTS: u32 = 5;
    pub(crate) const BURST_GAP: Duration = Duration::from_secs(2);
    pub(crate) const WINDOW: Duration = Duration::from_secs(1);
    pub(crate) const OUTAGE_START: Duration = Duration::from_millis(3_800);
    pub(crate) const FAILURE_PERCENT: u32 = 8;
    pub(crate) const SLOW_PERCENT: u32 = 10;
    pub(crate) const QUICK_ANSWER: Duration = Duration::from_millis(20);
    pub(crate) const SLOW_ANSWER: Duration = Duration::from_millis(400);
    pub(crate) const TRIES: u32 = 4;
    pub(crate) const RECOVERY_TIMEOUT: Duration = Duration::from_secs(1);
    /// A job that the open breaker turns away comes again for so long, then it has failed.
    pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

    /// Returns how many requests the provider serves in any window: on average just what is asked.
    ///
    /// It grows with the number of requests, so that a showing takes about as long with many.
    pub(crate) fn quota(&self) -> u32 {
        self.requests / (Self::BURSTS * 2)
    }

    /// Returns the tokens our limiter keeps for a burst.
    pub(crate) fn burst(&self) -> u32 {
        (self.quota() / 10).max(1)
    }

    /// Returns our limiter's tokens per second.
    ///
    /// A window admits at most `burst + rate * WINDOW`: nine tenths of the quota. The last tenth
    /// is for the network, which delivers some requests closer together.
    pub(crate) fn rate(&self) -> f64 {
        0.8 * f64::from(self.quota())
    }

    /// Returns when the provider is back.
    pub(crate) fn outage_end(&self) -> Duration {
        Self::OUTAGE_START + self.outage
    }

    /// Returns whether the provider is down at this time of a turn.
    pub(crate) fn in_outage(&self, elapsed: Duration) -> bool {
        Self::OUTAGE_START <= elapsed && elapsed < self.outage_end()
    }

    /// Returns when job `number` (from 0) comes up: jobs come in bursts, as jobs do.
    pub(crate) fn arrival(&self, number: u32) -> Duration {
        Self::BURST_GAP * (number * Self::BURSTS / self.requests)
    }
}
