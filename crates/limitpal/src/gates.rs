//! How many are inside at a time, for each key, and who waits to be let in.
//!
//! Nothing here knows the time: whoever has waited long enough leaves. A waker is woken, and
//! dropped, outside the locks.

mod gate;
#[cfg(all(test, not(loom)))]
mod tests;
mod woken;

use std::collections::HashSet;
use std::num::NonZeroU64;
use std::task::Waker;

use hashbrown::HashTable;
use hashbrown::hash_table::{Entry as Slot, OccupiedEntry};

use self::gate::Gate;
use self::woken::Woken;
use crate::config::InvalidConfig;
use crate::retry_after::RetryAfter;
use crate::shards::{self, Fingerprint, LockGuard, Shards};
use crate::stats::LimiterStats;
use crate::sync::atomic::{AtomicU32, Ordering};

/// A gate for each key, there while somebody is inside or waits.
#[derive(Debug)]
pub struct Gates {
    shards: Shards<Shard>,
    /// How many may be inside. Whoever changes it looks at every shard afterwards, under its lock;
    /// so nobody waits by an older one for long.
    limit: AtomicU32,
    max_waiting: Option<u32>,
}

/// One locked part of the gates.
#[derive(Debug, Default)]
struct Shard {
    table: HashTable<Gate>,
    /// Who was turned away while it waited, and has not heard of it.
    turned_away: HashSet<Queued>,
    /// Counts those who have waited here, so that no two who do have the same number.
    places: u32,
    counts: Counts,
}

/// What became of those who came.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    admitted: u64,
    refused: u64,
    waited: u64,
    left: u64,
    turned_away: u64,
}

/// Who waits at a gate, or has waited and has not heard what came of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Queued {
    key: Fingerprint,
    id: NonZeroU64,
    cost: u32,
}

impl Queued {
    /// Returns the gate.
    pub fn key(&self) -> Fingerprint {
        self.key
    }

    /// Returns for how many it waits.
    pub fn cost(&self) -> u32 {
        self.cost
    }
}

/// The answer to one who comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// It is inside, as so many, until it is let out.
    Inside(u32),
    /// It waits.
    Waits(Queued),
    /// Nothing was taken.
    Refused(RetryAfter),
}

/// What came of one who waits. Once it is no longer waiting, it has been told, and asks no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It still waits.
    Waits {
        /// Whether the waker that is kept for it would wake the task that asks.
        has_waker: bool,
    },
    /// It is inside, until it is let out.
    Inside,
    /// It was turned away: it is more than the limit has become.
    TurnedAway,
}

impl Gates {
    /// Makes gates that let in so many at a time, one for everybody if `one_gate`.
    pub fn new(
        limit: u32,
        max_waiting: Option<u32>,
        one_gate: bool,
    ) -> Result<Self, InvalidConfig> {
        let count = if one_gate { 1 } else { shards::MANY };
        let limit = AtomicU32::new(checked(limit)?);
        Ok(Self { shards: Shards::new(count, Shard::default), limit, max_waiting })
    }

    /// Returns the fingerprint of a key, which is these gates' own.
    #[inline]
    pub fn fingerprint(&self, key: &str) -> Fingerprint {
        self.shards.fingerprint(key)
    }

    /// Returns how many may be inside.
    pub fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Returns how many may wait at a gate.
    pub fn max_waiting(&self) -> Option<u32> {
        self.max_waiting
    }

    /// Lets one in, at once or not at all, or has it wait if it is ready to.
    #[inline]
    pub fn enter(&self, key: Fingerprint, cost: u64, is_ready_to_wait: bool) -> Entry {
        self.enter_as(key, cost, None, is_ready_to_wait)
    }

    /// As `enter`; one with a ticket, who waits in several lines in turn, goes before those who
    /// came later and do the same.
    #[inline]
    pub fn enter_as(
        &self,
        key: Fingerprint,
        cost: u64,
        ticket: Option<NonZeroU64>,
        is_ready_to_wait: bool,
    ) -> Entry {
        let index = self.shards.index(key);
        let mut shard = self.shards.lock(index);
        let limit = self.limit();
        let Some(cost) = u32::try_from(cost).ok().filter(|cost| *cost <= limit) else {
            shard.counts.refused += 1;
            return Entry::Refused(RetryAfter::Never);
        };
        let Shard { table, places, counts, .. } = &mut *shard;
        match table.entry(key.low.get(), |gate| gate.key() == key, Gate::hash) {
            Slot::Vacant(slot) => {
                slot.insert(Gate::new(key, cost));
                counts.admitted += 1;
                Entry::Inside(cost)
            }
            Slot::Occupied(mut slot) => {
                let gate = slot.get_mut();
                if gate.enter(cost, limit, ticket) {
                    counts.admitted += 1;
                    Entry::Inside(cost)
                } else if is_ready_to_wait && self.has_room_to_wait(gate) {
                    *places = places.wrapping_add(1);
                    counts.waited += 1;
                    Entry::Waits(Queued { key, id: gate.join(cost, ticket, *places), cost })
                } else {
                    counts.refused += 1;
                    Entry::Refused(RetryAfter::Unknown)
                }
            }
        }
    }

    /// Says how long one would have to wait, which cannot be known but for none at all, and never.
    pub fn quote(&self, key: Fingerprint, cost: u64, ticket: Option<NonZeroU64>) -> RetryAfter {
        let mut shard = self.shard(key);
        let limit = self.limit();
        let Some(cost) = u32::try_from(cost).ok().filter(|cost| *cost <= limit) else {
            return RetryAfter::Never;
        };
        match shard.gate(key) {
            Some(gate) if !gate.admits(cost, limit, ticket) => RetryAfter::Unknown,
            Some(_) | None => RetryAfter::Now,
        }
    }

    fn has_room_to_wait(&self, gate: &Gate) -> bool {
        self.max_waiting.is_none_or(|most| gate.waiting() < most as usize)
    }

    /// Says what came of one who waits, whose waker is this.
    pub fn standing(&self, queued: Queued, waker: &Waker) -> Standing {
        let mut shard = self.shard(queued.key);
        let Some(kept) = shard.waker(queued) else { return shard.told(queued) };
        let has_waker = kept.as_ref().is_some_and(|kept| kept.will_wake(waker));
        Standing::Waits { has_waker }
    }

    /// Keeps the waker of one who waits, if it still does.
    pub fn arm(&self, queued: Queued, waker: Waker) -> Standing {
        let mut waker = Some(waker);
        let mut shard = self.shard(queued.key);
        let Some(kept) = shard.waker(queued) else {
            // Locals are dropped in reverse: the waker after the lock is released.
            return shard.told(queued);
        };
        std::mem::swap(kept, &mut waker);
        Standing::Waits { has_waker: true }
    }

    /// Takes one out of the line; it no longer waits then, unless that is over already.
    pub fn give_up(&self, queued: Queued) -> Standing {
        let mut woken = Woken::default();
        let mut shard = self.shard(queued.key);
        let Some(gate) = shard.gate(queued.key).filter(|gate| gate.has(queued.id)) else {
            return shard.told(queued);
        };
        let own = gate.leave(queued.id, self.limit(), &mut woken);
        shard.counts.left += 1;
        drop(shard);
        woken.wake();
        drop(own);
        Standing::Waits { has_waker: false }
    }

    /// Takes one out of the line, or lets it out if it has been let in meanwhile.
    pub fn leave(&self, queued: Queued) {
        match self.give_up(queued) {
            Standing::Inside => self.let_out(queued.key, queued.cost),
            Standing::Waits { .. } | Standing::TurnedAway => {}
        }
    }

    /// Lets out so many of those who are inside, and in those for whom there is room now.
    #[inline]
    pub fn let_out(&self, key: Fingerprint, cost: u32) {
        let mut woken = Woken::default();
        let mut shard = self.shard(key);
        let mut entry = shard.entry(key).expect("who is inside keeps the gate there");
        entry.get_mut().let_out(cost, self.limit(), &mut woken);
        if entry.get().is_idle() {
            entry.remove();
        }
        drop(shard);
        woken.wake();
    }

    /// Changes how many may be inside. More are let in at once; nobody is put out. Who waits as
    /// more than that is turned away, or nobody would ever get past it.
    pub fn set_limit(&self, limit: u32) -> Result<(), InvalidConfig> {
        self.limit.store(checked(limit)?, Ordering::Relaxed);
        for index in 0..self.shards.len() {
            let mut woken = Woken::default();
            let mut shard = self.shards.lock(index);
            let limit = self.limit();
            let Shard { table, turned_away, counts, .. } = &mut *shard;
            table.retain(|gate| {
                let key = gate.key();
                gate.turn_away(limit, &mut woken, |id, cost| {
                    turned_away.insert(Queued { key, id, cost });
                    counts.turned_away += 1;
                });
                gate.let_in(limit, &mut woken);
                // Between the change and this, who waited for more may have been left alone.
                !gate.is_idle()
            });
            drop(shard);
            woken.wake();
        }
        Ok(())
    }

    /// Returns what became of those who came; nothing here knows for how long they waited.
    pub fn stats(&self) -> LimiterStats {
        let mut stats = LimiterStats::default();
        for index in 0..self.shards.len() {
            let shard = self.shards.lock(index);
            let Counts { admitted, refused, waited, left, turned_away } = shard.counts;
            let waiting: u64 = shard.table.iter().map(|gate| gate.waiting() as u64).sum();
            stats.keys += shard.table.len();
            stats.in_flight += shard.table.iter().map(|gate| u64::from(gate.inside())).sum::<u64>();
            stats.admitted += admitted + (waited - waiting - left - turned_away);
            stats.refused += refused + turned_away;
            stats.waited += waited;
            stats.left += left;
            stats.waiting += waiting;
        }
        stats
    }

    /// Returns as how many those count who are inside.
    pub fn inside(&self, key: Fingerprint) -> u32 {
        self.shard(key).gate(key).map_or(0, |gate| gate.inside())
    }

    /// Returns how many wait.
    pub fn waiting(&self, key: Fingerprint) -> usize {
        self.shard(key).gate(key).map_or(0, |gate| gate.waiting())
    }

    /// Returns whether anybody is inside or waits.
    pub fn contains(&self, key: Fingerprint) -> bool {
        self.shard(key).gate(key).is_some()
    }

    /// Returns at how many gates anybody is inside or waits.
    pub fn len(&self) -> usize {
        (0..self.shards.len()).map(|index| self.shards.lock(index).table.len()).sum()
    }

    /// Returns whether nobody is inside anywhere.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: Fingerprint) -> LockGuard<'_, Shard> {
        self.shards.lock(self.shards.index(key))
    }
}

impl Shard {
    fn entry(&mut self, key: Fingerprint) -> Option<OccupiedEntry<'_, Gate>> {
        self.table.find_entry(key.low.get(), |gate| gate.key() == key).ok()
    }

    fn gate(&mut self, key: Fingerprint) -> Option<&mut Gate> {
        self.table.find_mut(key.low.get(), |gate| gate.key() == key)
    }

    /// Returns the waker of one who waits, if it still does.
    fn waker(&mut self, queued: Queued) -> Option<&mut Option<Waker>> {
        self.gate(queued.key)?.waker(queued.id)
    }

    /// Says what came of one who no longer waits, which is told once.
    fn told(&mut self, queued: Queued) -> Standing {
        if !self.turned_away.is_empty() && self.turned_away.remove(&queued) {
            return Standing::TurnedAway;
        }
        Standing::Inside
    }
}

fn checked(limit: u32) -> Result<u32, InvalidConfig> {
    if limit == 0 {
        let advice = "give a whole number from 1 to 4294967295";
        return Err(InvalidConfig::new("limit", limit, advice));
    }
    Ok(limit)
}
