//! What the schedules are run on: limiters, and models of them that know no tricks.

use std::fmt::Debug;

use limitpal::{AnyLimiter, MockClock};

use super::model::Model;
use crate::models::Settings;
use crate::waiters::bucket;

/// A limiter's settings.
pub(super) trait Subject: Copy + Debug {
    type Model: Ideal;

    fn limiter(&self, per_key: bool, clock: &MockClock) -> AnyLimiter;

    fn model(&self, now: i64) -> Self::Model;

    /// Returns the most permits that are there at once.
    fn capacity(&self) -> u32;

    /// Returns a little time, and no nanosecond too even.
    fn part(&self) -> i64;

    /// Returns whether nobody ever goes later because somebody else has left.
    fn is_steady(&self) -> bool {
        true
    }

    /// Returns a window in which more was granted than may be, of takes as (time, cost).
    fn broken_window(&self, takes: &[(i64, u64)]) -> Option<String>;
}

/// One key and its line, first come first, as they should be.
pub(super) trait Ideal: Clone {
    /// Lets time pass; whose turn comes goes then.
    fn pass(&mut self, until: i64);

    fn join(&mut self, who: usize, cost: u64);

    /// Forgets the take of one who leaves, as if it had never been.
    fn undo(&mut self, who: usize);

    /// Gives back what the limiter does at least for one who leaves, after its turn if it is late.
    fn undo_at_least(&mut self, who: usize, late: bool);

    /// Returns when somebody's turn came, if it has.
    fn turn(&self, who: usize) -> Option<i64>;

    /// Returns whether somebody who does not wait would be let in.
    fn allows(&self, cost: u64) -> bool;

    /// Takes for somebody who does not wait, and was let in.
    fn take(&mut self, cost: u64);

    /// Returns when the key is as new, once all who wait have gone.
    fn fresh_at(self) -> i64;
}

impl Subject for Settings {
    type Model = Model;

    fn limiter(&self, per_key: bool, clock: &MockClock) -> AnyLimiter {
        bucket(*self, per_key, clock)
    }

    fn model(&self, now: i64) -> Model {
        Model::new(*self, now)
    }

    fn capacity(&self) -> u32 {
        self.capacity
    }

    /// No part of an interval.
    fn part(&self) -> i64 {
        self.rate.interval() * 2 / 5 + 1
    }

    fn broken_window(&self, takes: &[(i64, u64)]) -> Option<String> {
        Settings::broken_window(self, takes)
    }
}
