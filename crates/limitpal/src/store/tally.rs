//! What became of those who had to wait, and how long they waited: counted under the lock that they
//! take in any case.

use std::time::Duration;

use super::answer::{Request, Turn};
use super::shard::{Settings, Shard};
use super::stored::{Shortcut, Stored};
use super::{Full, Store};
use crate::shards::Fingerprint;
use crate::stats::LimiterStats;
use crate::time::Instant;

/// Counts those who wait, and what is given back.
#[derive(Debug)]
pub(super) struct Tally {
    /// Those turned away while they waited.
    refused: u64,
    pub(super) given_back: u64,
    waited: u64,
    left: u64,
    waiting: u64,
    /// How long they had waited together until `since`: how many wait, summed over time. So nothing
    /// is kept of each.
    nanos: u128,
    since: Instant,
}

impl Default for Tally {
    fn default() -> Self {
        let (refused, given_back, waited, left, waiting) = (0, 0, 0, 0, 0);
        Self { refused, given_back, waited, left, waiting, nanos: 0, since: Instant::MIN }
    }
}

impl Tally {
    /// Counts one who begins to wait.
    #[cold]
    pub(super) fn comes(&mut self, now: Instant) {
        self.go_on(now);
        self.waited += 1;
        self.waiting += 1;
    }

    /// Counts one who no longer waits, since its turn has come or it was turned away.
    pub(super) fn goes(&mut self, now: Instant) {
        self.go_on(now);
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// Counts one who leaves before its turn.
    pub(super) fn leaves(&mut self, now: Instant) {
        self.goes(now);
        self.left += 1;
    }

    /// Counts one who was turned away while it waited.
    #[cold]
    pub(super) fn turned_away(&mut self, now: Instant) {
        self.goes(now);
        self.refused += 1;
    }

    fn go_on(&mut self, now: Instant) {
        self.nanos = self.nanos_until(now);
        self.since = now.max(self.since);
    }

    fn nanos_until(&self, now: Instant) -> u128 {
        let span = now.saturating_duration_since(self.since);
        self.nanos.saturating_add(span.as_nanos() * u128::from(self.waiting))
    }

    /// Adds it to what others have counted.
    pub(super) fn add_to(&self, stats: &mut LimiterStats, now: Instant) {
        stats.refused += self.refused;
        stats.given_back += self.given_back;
        stats.waited += self.waited;
        stats.left += self.left;
        stats.waiting += self.waiting;
        let nanos = u64::try_from(self.nanos_until(now)).unwrap_or(u64::MAX);
        stats.time_waited = stats.time_waited.saturating_add(Duration::from_nanos(nanos));
    }
}

impl<A: Stored> Shard<A> {
    /// Takes, now or later, where one may have to wait.
    #[inline(never)] // those who need not do not prepare for it
    pub(super) fn reserve_in_line(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full> {
        let turn = A::reserve(self, settings, key, request, now)?;
        match turn {
            Turn::Now(_) => self.admitted += 1,
            Turn::Wait(..) => self.tally.comes(now),
            Turn::Refused(_) => self.refused += 1,
        }
        Ok(turn)
    }

    /// Counts one who has waited, and goes.
    pub(super) fn has_come(&mut self, now: Instant) {
        self.tally.goes(now);
        self.admitted += 1;
    }

    #[inline]
    pub(super) fn count(&mut self, is_taken: bool) {
        if is_taken {
            self.admitted += 1;
        } else {
            self.refused += 1;
        }
    }
}

impl<A: Stored> Store<A> {
    /// Returns what became of all who asked.
    pub fn stats<E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<LimiterStats, E> {
        let mut stats = LimiterStats {
            evicted_live: self.evicted_live(),
            refused_new: self.refused_new(),
            ..LimiterStats::default()
        };
        for index in 0..self.shards.len() {
            self.with_shard(index, &mut read, |shard, now| {
                shard.forget_expired(&self.settings, now);
                stats.keys += shard.table.len();
                stats.admitted += shard.admitted;
                stats.refused += shard.refused;
                shard.tally.add_to(&mut stats, now);
            })?;
        }
        let without_lock = self.direct.as_ref().map_or(0, Shortcut::refused);
        stats.refused += stats.refused_new + without_lock;
        Ok(stats)
    }
}
