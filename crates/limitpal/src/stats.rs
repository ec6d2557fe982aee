//! What a limiter has counted, as one reads it.

use std::time::Duration;

/// What became of the calls of a limiter, since it was made: `limiter.stats()`.
///
/// Each call is one of `admitted`, `refused`, `left` and `waiting`, however much it costs; `peek` is
/// none. Read while calls end on other threads, it may be short of those that are just ending.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct LimiterStats {
    /// Calls that took what they asked for, at once or after a wait.
    pub admitted: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Calls that had to wait.
    pub waited: u64,
    /// Those of them that left before their turn: cancelled, or out of time.
    pub left: u64,
    /// Those of them that wait now.
    pub waiting: u64,
    /// How long all of them have waited together until now. A concurrency limiter does not know the
    /// time, and has none.
    pub time_waited: Duration,
    /// Calls whose take was given back unused: a run that ended between its quota and its attempt,
    /// or a part of several limiters whose others refused.
    pub given_back: u64,
    /// How many keys are remembered now.
    pub keys: usize,
    /// How many keys `max_buckets` has cost though they were in use.
    pub evicted_live: u64,
    /// How many newcomers were refused because there was no room for them, of `refused`.
    pub refused_new: u64,
    /// How many permits are out now: only of a concurrency limiter, and of several that have one.
    pub in_flight: u64,
    /// Of several limiters: how many of the calls refused each of them has refused, those that count
    /// how often something goes before those that count how many are at it.
    pub refused_by: Vec<u64>,
}

impl LimiterStats {
    /// Adds what one of several limiters says of those who wait.
    pub(crate) fn add_waits(&mut self, part: &Self) {
        self.waited += part.waited;
        self.left += part.left;
        self.waiting += part.waiting;
        self.time_waited = self.time_waited.saturating_add(part.time_waited);
        self.in_flight += part.in_flight;
        self.evicted_live += part.evicted_live;
        self.refused_new += part.refused_new;
    }

    /// Returns how many calls there have been.
    pub const fn calls(&self) -> u64 {
        self.admitted + self.refused + self.left + self.waiting
    }
}
