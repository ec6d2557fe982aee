//! Shares of one bucket: what a key may take of it, and when, while others are active too.
//!
//! Of `n` active keys each has a bucket like the whole, in which a permit counts `n` times: so it
//! refills at `rate / n` and holds `capacity / n`. That is its share. What is within the share goes
//! when the whole has room. What is beyond goes as long as it leaves the others' shares of the
//! whole untouched, `capacity * (n - 1) / n`, or when the whole is full and would spill. It is the
//! borrowing of the hierarchical token bucket (Devera, "HTB Linux queuing discipline", 2002), with
//! shares that follow who is active.

use std::time::Duration;

use super::{Bucket, Level};
use crate::time::Instant;

/// One key's share, and the whole it is of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// The level of the one bucket.
    pub(crate) whole: Level,
    /// The level of the key's share.
    pub(crate) own: Level,
    /// How many keys are active, the key included.
    pub(crate) keys: u64,
}

impl Bucket {
    /// Returns both levels after a take, if it may go now; `spare` says whether it may use what
    /// the others leave.
    pub(crate) fn take_share(
        &self,
        share: Share,
        cost: u64,
        spare: bool,
        now: Instant,
    ) -> Option<Share> {
        let whole = self.take(share.whole, cost, now)?;
        let span = self.weighed(share, cost);
        let own = self.pushed(share.own.max(Level::at(now)), span);
        if self.within_due(share, cost) <= now {
            return Some(Share { whole, own, ..share });
        }
        if !spare || self.spare_due(share, cost) > now {
            return None;
        }
        // What was borrowed is not owed: a share is empty at worst, never in debt by it.
        let empty = self.pushed(Level::at(now), self.full);
        Some(Share { whole, own: share.own.max(own.min(empty)), ..share })
    }

    /// Returns by how much a take has emptied the share: less than it cost if it was borrowed.
    pub(crate) fn charged(&self, before: Share, after: Share, now: Instant) -> Level {
        self.pulled(after.own, before.own.max(Level::at(now)))
    }

    /// Returns when a take may go if nobody else takes; its cost is served.
    pub(crate) fn share_due(&self, share: Share, cost: u64, spare: bool) -> Instant {
        let within = self.within_due(share, cost);
        if spare { within.min(self.spare_due(share, cost)) } else { within }
    }

    /// Returns when a take may go that uses what the others leave.
    fn spare_due(&self, share: Share, cost: u64) -> Instant {
        let (span, room) = (self.span(cost), self.room(share));
        if span <= room { self.pace_due(share, cost) } else { share.whole.ceil() }
    }

    /// Returns when so much has gone, one call after another, if only those who wait take.
    pub(crate) fn pace_due(&self, share: Share, cost: u64) -> Instant {
        self.pulled(self.pushed(share.whole, self.span(cost)), self.room(share)).ceil()
    }

    /// Returns how long so many permits take to come.
    pub(crate) fn spaced(&self, cost: u64) -> Duration {
        Duration::from_nanos(self.span(cost).ceil().as_nanos().unsigned_abs())
    }

    /// Returns how far ahead of now the whole may lie by what was borrowed: `full / n`.
    fn room(&self, share: Share) -> Level {
        self.full.over(share.keys, self.interval.parts)
    }

    fn within_due(&self, share: Share, cost: u64) -> Instant {
        let span = self.weighed(share, cost);
        let own = self.pulled(self.pushed(share.own, span), span.max(self.full));
        let whole = self.pulled(self.pushed(share.whole, self.span(cost)), self.full);
        own.max(whole).ceil()
    }

    /// Returns how far a take moves the share's level.
    fn weighed(&self, share: Share, cost: u64) -> Level {
        self.span(cost.saturating_mul(share.keys))
    }

    /// Returns the share's level without what it would owe more than one take of its own: it may be
    /// of a time when many more were active.
    pub(crate) fn eased(&self, share: Share, cost: u64, now: Instant) -> Level {
        let most = self.pushed(Level::at(now), self.weighed(share, cost).max(self.full));
        share.own.min(most)
    }

    /// Returns how many permits the key could take now, one after another.
    pub(crate) fn share_left(&self, share: Share, spare: bool, now: Instant) -> u32 {
        let all = self.left(share.whole, now);
        let own = self.left(share.own, now) / u32::try_from(share.keys).unwrap_or(u32::MAX);
        // A share of less than one permit has one when it is full.
        let own = if share.own <= Level::at(now) { own.max(1) } else { own };
        if !spare {
            return own.min(all);
        }
        let room = self.pushed(Level::at(now), self.room(share));
        let left = self.count(room, share.whole.max(Level::at(now)));
        let is_full = share.whole <= Level::at(now);
        own.min(all).max(left).max(u32::from(is_full))
    }

    /// Returns the whole permits left in a bucket.
    pub(crate) fn left(&self, level: Level, now: Instant) -> u32 {
        self.count(self.limit(now), level.max(Level::at(now)))
    }
}
