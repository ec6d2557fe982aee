//! How many requests there were lately and what became of them, in a ring of slices.

use std::time::Duration;

use crate::time::{Instant, nanos};

/// How many slices a window has. The oldest goes as a whole when a new one begins, so a request is
/// remembered for a whole window, or up to a sixtieth of it less.
pub(crate) const SLICES: usize = 60;

/// What was counted, in a slice or in all of them.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    /// Requests, those that were refused here included.
    pub(crate) requests: u64,
    /// Requests that the server accepted.
    pub(crate) accepts: u64,
    /// Requests that the server rejected or that were refused here.
    pub(crate) turned_away: u64,
}

/// Where a request was counted, so that it can be taken back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counted {
    slice: u64,
}

/// The counts of one window that ends now. It has no clock: `now` is an argument of
/// [`advance`](Self::advance), after which the other methods mean that time.
#[derive(Debug)]
pub(crate) struct Window {
    slices: [Counts; SLICES],
    total: Counts,
    /// How long a slice is, in nanoseconds.
    length: i64,
    /// Which slice since the clock's zero is the present one.
    index: i64,
    /// How many slices have begun; it says where in the ring the present one lies.
    begun: u64,
    /// How many had begun at the last reset.
    reset: u64,
}

impl Window {
    pub(crate) fn new(length: Duration) -> Self {
        Self {
            slices: [Counts::default(); SLICES],
            total: Counts::default(),
            length: (nanos(length) / SLICES as i64).max(1),
            index: i64::MIN,
            begun: 0,
            reset: 0,
        }
    }

    /// Returns the present slice's index, if `now` lies in one before it: either `now` was read
    /// long before it is used here, or the clock was set back.
    pub(crate) fn ahead_of(&self, now: Instant) -> Option<i64> {
        (self.index_of(now) < self.index).then_some(self.index)
    }

    /// Forgets what is older than a window at `now`. After a step back time goes on from there,
    /// and nothing was forgotten meanwhile.
    pub(crate) fn advance(&mut self, now: Instant) {
        let index = self.index_of(now);
        let gone = index.saturating_sub(self.index).clamp(0, SLICES as i64);
        for _ in 0..gone {
            self.begun += 1;
            let oldest = std::mem::take(self.present());
            self.total.requests -= oldest.requests;
            self.total.accepts -= oldest.accepts;
            self.total.turned_away -= oldest.turned_away;
        }
        self.index = index;
    }

    pub(crate) fn total(&self) -> Counts {
        self.total
    }

    pub(crate) fn count_request(&mut self) -> Counted {
        self.present().requests += 1;
        self.total.requests += 1;
        Counted { slice: self.begun }
    }

    pub(crate) fn count_accept(&mut self) {
        self.present().accepts += 1;
        self.total.accepts += 1;
    }

    pub(crate) fn count_turned_away(&mut self) {
        self.present().turned_away += 1;
        self.total.turned_away += 1;
    }

    /// Returns whether a request was counted since the last reset.
    pub(crate) fn knows(&self, counted: Counted) -> bool {
        counted.slice >= self.reset
    }

    /// Counts a request no longer, unless it is forgotten already.
    pub(crate) fn take_back(&mut self, counted: Counted) {
        if self.knows(counted) && self.begun - counted.slice < SLICES as u64 {
            self.slices[Self::place(counted.slice)].requests -= 1;
            self.total.requests -= 1;
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slices = [Counts::default(); SLICES];
        self.total = Counts::default();
        self.begun += 1;
        self.reset = self.begun;
    }

    fn present(&mut self) -> &mut Counts {
        &mut self.slices[Self::place(self.begun)]
    }

    fn place(slice: u64) -> usize {
        (slice % SLICES as u64) as usize
    }

    fn index_of(&self, now: Instant) -> i64 {
        now.as_nanos().div_euclid(self.length)
    }
}
