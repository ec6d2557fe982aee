//! How many of the last calls were bad: a ring of bits, or a ring of parts of time.

use std::time::Duration;

use super::rules::LookBack;
use crate::time::{Instant, nanos};

/// In how many parts a time is counted. The oldest goes as a whole when a new one begins, so a call
/// is remembered for the whole time, or up to a sixtieth of it less.
pub(super) const PARTS: usize = 60;

/// The calls that a rate looks back on.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Calls(Calls),
    Time(Parts),
}

/// How many calls there were, and how many of them bad.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Counts {
    pub(super) bad: u32,
    pub(super) calls: u32,
}

impl Counts {
    fn add(&mut self, is_bad: bool) {
        self.calls = self.calls.saturating_add(1);
        self.bad = self.bad.saturating_add(u32::from(is_bad));
    }

    fn subtract(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.bad = self.bad.saturating_sub(other.bad);
    }
}

impl Window {
    pub(super) fn new(look_back: LookBack) -> Self {
        match look_back {
            LookBack::Calls(most) => Self::Calls(Calls::new(most)),
            LookBack::Time(length) => Self::Time(Parts::new(length)),
        }
    }

    /// Counts a call that ended now, and returns how many there are then.
    pub(super) fn put(&mut self, is_bad: bool, now: Instant) -> Counts {
        match self {
            Self::Calls(calls) => calls.put(is_bad),
            Self::Time(parts) => parts.put(is_bad, now),
        }
    }

    /// Returns how many calls there are at `now`.
    pub(super) fn counts(&mut self, now: Instant) -> Counts {
        match self {
            Self::Calls(calls) => calls.total,
            Self::Time(parts) => {
                parts.advance(now);
                parts.total
            }
        }
    }

    /// Returns when the present part began, if no reading up to `now` can have begun it.
    pub(super) fn ahead_of(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Calls(_) => None,
            Self::Time(parts) => {
                (parts.total.calls > 0 && parts.start > now).then_some(parts.start)
            }
        }
    }

    /// Forgets all calls.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Calls(calls) => *calls = Calls::new(calls.most),
            Self::Time(parts) => *parts = Parts::of(parts.length),
        }
    }
}

/// The last calls, a bit for each that says whether it was bad.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    /// How many are remembered at most.
    pub(super) most: u32,
    /// Grows as calls come.
    bits: Vec<u64>,
    /// Where the next goes.
    next: u32,
    pub(super) total: Counts,
}

impl Calls {
    fn new(most: u32) -> Self {
        Self { most, bits: Vec::new(), next: 0, total: Counts::default() }
    }

    pub(super) fn put(&mut self, is_bad: bool) -> Counts {
        let (word, bit) = (self.next as usize / 64, 1_u64 << (self.next % 64));
        if word == self.bits.len() {
            self.bits.push(0);
        }
        if self.total.calls == self.most {
            let bad = u32::from(self.bits[word] & bit != 0);
            self.total.subtract(Counts { bad, calls: 1 });
        }
        self.bits[word] = self.bits[word] & !bit | if is_bad { bit } else { 0 };
        self.next = (self.next + 1) % self.most;
        self.total.add(is_bad);
        self.total
    }

    /// Returns for each call, the oldest first, whether it was bad.
    pub(super) fn each(&self) -> impl Iterator<Item = bool> + '_ {
        let first = self.next + self.most - self.total.calls;
        (0..self.total.calls).map(move |rank| {
            let at = ((u64::from(first) + u64::from(rank)) % u64::from(self.most)) as usize;
            self.bits[at / 64] & 1 << (at % 64) != 0
        })
    }
}

/// The calls of a time that ends now, counted in parts of it.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    /// There once a call has come.
    pub(super) ring: Vec<Counts>,
    /// Where in the ring the present part lies.
    pub(super) present: usize,
    /// When the present part began. The first begins with the first call.
    pub(super) start: Instant,
    /// How long a part is, in nanoseconds.
    pub(super) length: i64,
    pub(super) total: Counts,
}

impl Parts {
    fn new(length: Duration) -> Self {
        Self::of((nanos(length) / PARTS as i64).max(1))
    }

    fn of(length: i64) -> Self {
        let (ring, total) = (Vec::new(), Counts::default());
        Self { ring, present: 0, start: Instant::ZERO, length, total }
    }

    fn put(&mut self, is_bad: bool, now: Instant) -> Counts {
        self.advance(now);
        if self.total.calls == 0 {
            self.ring.resize(PARTS, Counts::default());
            self.start = now;
        }
        self.ring[self.present].add(is_bad);
        self.total.add(is_bad);
        self.total
    }

    /// Forgets what is too old at `now`. After a step back time goes on from there, and nothing
    /// was forgotten meanwhile.
    fn advance(&mut self, now: Instant) {
        if self.total.calls == 0 {
            return;
        }
        self.start = self.start.min(now);
        // Both are instants of one clock, the later one first; so far apart they saturate.
        let begun = now.as_nanos().saturating_sub(self.start.as_nanos()) / self.length;
        for _ in 0..begun.min(PARTS as i64) {
            self.present = (self.present + 1) % PARTS;
            let oldest = std::mem::take(&mut self.ring[self.present]);
            self.total.subtract(oldest);
        }
        let passed = begun.saturating_mul(self.length);
        self.start = Instant::from_nanos(self.start.as_nanos().saturating_add(passed));
    }
}
