//! What a number of calls had to tell, taken together.

use std::time::Duration;

/// Calls that ended, between one change of a limit and the next.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Round {
    calls: u32,
    dropped: u32,
    seconds: f64,
    in_flight: f64,
    most_in_flight: u32,
}

impl Round {
    /// Adds a call that took so long, one of so many in flight.
    pub(crate) fn add(&mut self, rtt: Duration, in_flight: u32) {
        self.calls += 1;
        self.seconds += rtt.as_secs_f64();
        self.in_flight += f64::from(in_flight);
        self.most_in_flight = self.most_in_flight.max(in_flight);
    }

    /// Adds a call that was dropped.
    pub(crate) fn add_dropped(&mut self, in_flight: u32) {
        self.calls += 1;
        self.dropped += 1;
        self.most_in_flight = self.most_in_flight.max(in_flight);
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls
    }

    pub(crate) fn has_dropped(&self) -> bool {
        self.dropped > 0
    }

    pub(crate) fn most_in_flight(&self) -> u32 {
        self.most_in_flight
    }

    /// Returns how long a call took, in seconds, where none was dropped.
    pub(crate) fn latency(&self) -> f64 {
        self.seconds / f64::from(self.calls)
    }

    /// Returns how many calls there were in flight, where none was dropped.
    pub(crate) fn in_flight(&self) -> f64 {
        self.in_flight / f64::from(self.calls)
    }
}
