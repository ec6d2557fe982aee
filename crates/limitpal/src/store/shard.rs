//! One locked part of the store: its buckets, its lines and its time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hashbrown::HashTable;

use super::evict::{LOOKS, Queue, Seen, Victim};
use super::fingerprint::Fingerprint;
use super::timeline::Timeline;
use super::{Full, Grant, StoreOptions};
use crate::algorithm::{Bucket, Level};
use crate::time::{Instant, nanos};
use crate::waiting::Line;

/// The level of a bucket that was never used.
pub(super) const FRESH: Level = Level::at(Instant::MIN);

/// Slots looked at where the queue has no answer in time. One in sixteen being idle, all of them
/// are busy once in fifteen million calls; slots lie in the order of a keyed hash.
const SAMPLE: usize = 256;

/// What all shards share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) bucket: Bucket,
    pub(super) options: StoreOptions,
    /// Buckets in all shards, kept where `max_buckets` is set.
    pub(super) count: AtomicUsize,
    pub(super) evicted_live: AtomicU64,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) key: Fingerprint,
    pub(super) level: Level,
    /// Which of the buckets that this key had: a take from an earlier one gives nothing back.
    pub(super) born: u32,
    /// When it was last used; no two slots of a shard share an instant.
    pub(super) used: i64,
}

#[derive(Debug)]
pub(super) struct Shard {
    pub(super) time: Timeline,
    pub(super) table: HashTable<Slot>,
    pub(super) lines: HashMap<Fingerprint, Line<Level>>,
    queue: Option<Queue>,
    stamp: i64,
    pub(super) next: u32,
    pub(super) places: u64,
    calls: usize,
    /// Buckets left by the last look for those to forget: as many calls pass before the next, so
    /// that a call pays for a few buckets, however many there are.
    kept: usize,
    hand: usize,
}

impl Shard {
    pub(super) fn new(options: &StoreOptions) -> Self {
        let looks = if options.max_buckets > Some(1024) { LOOKS } else { usize::MAX };
        Self {
            time: Timeline::new(),
            table: HashTable::new(),
            lines: HashMap::new(),
            queue: options.max_buckets.map(|_| Queue::new(looks)),
            stamp: i64::MIN,
            next: 0,
            places: 0,
            calls: 0,
            kept: 0,
            hand: 0,
        }
    }

    /// Takes `cost` if there is room for it now.
    #[inline]
    pub(super) fn take(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Result<Option<Grant>, Full> {
        self.tidy(settings, now);
        let used = self.stamp(now);
        let Some(slot) = self.table.find_mut(key.low, |slot| slot.key == key) else {
            return self.take_from_new(settings, key, cost, now, used);
        };
        slot.used = used;
        let (before, born) = (slot.level, slot.born);
        let Some(after) = settings.bucket.take(before, cost, now) else {
            return Ok(self.take_freed(settings, key, born, cost, now));
        };
        slot.level = after;
        Ok(Some(Grant { key, cost, after, before: Some(before), born }))
    }

    fn take_from_new(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        used: i64,
    ) -> Result<Option<Grant>, Full> {
        let Some(after) = settings.bucket.take(FRESH, cost, now) else { return Ok(None) };
        self.make_room(settings, now)?;
        let born = self.insert(key, after, used);
        Ok(Some(Grant { key, cost, after, before: Some(FRESH), born }))
    }

    pub(super) fn insert(&mut self, key: Fingerprint, level: Level, used: i64) -> u32 {
        self.next = self.next.wrapping_add(1);
        let slot = Slot { key, level, born: self.next, used };
        self.table.insert_unique(key.low, slot, |slot| slot.key.low);
        self.enqueue(key, Seen { fresh_at: level.ceil(), used, awaited: false });
        self.next
    }

    pub(super) fn slot(&mut self, key: Fingerprint) -> Option<&mut Slot> {
        self.table.find_mut(key.low, |slot| slot.key == key)
    }

    /// Returns whether there are buckets that nobody waits for.
    pub(super) fn has_idlers(&self) -> bool {
        self.table.len() > self.lines.len()
    }

    /// Returns the level of a key, whether or not it is remembered.
    pub(super) fn level(&self, key: Fingerprint) -> Level {
        self.table.find(key.low, |slot| slot.key == key).map_or(FRESH, |slot| slot.level)
    }

    pub(super) fn contains(&self, settings: &Settings, key: Fingerprint, now: Instant) -> bool {
        let slot = self.table.find(key.low, |slot| slot.key == key);
        slot.is_some_and(|slot| !self.is_expired(settings, slot, now))
    }

    /// Forgets one bucket whatever its level.
    pub(super) fn remove(&mut self, settings: &Settings, key: Fingerprint) {
        if self.extract(key) {
            settings.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn extract(&mut self, key: Fingerprint) -> bool {
        let entry = self.table.find_entry(key.low, |slot| slot.key == key);
        entry.map(|entry| entry.remove()).is_ok()
    }

    /// Puts a bucket back to an earlier level, and in its place among those to be forgotten.
    pub(super) fn lower(&mut self, key: Fingerprint, level: Level) {
        let Some(slot) = self.table.find_mut(key.low, |slot| slot.key == key) else { return };
        slot.level = level;
        let seen = Seen { fresh_at: level.ceil(), used: slot.used, awaited: false };
        self.enqueue(key, seen);
    }

    /// Adds a bucket to those that can be forgotten, or says that it is nearer to new.
    fn enqueue(&mut self, key: Fingerprint, seen: Seen) {
        let Some(mut queue) = self.queue.take() else { return };
        queue.push(key, seen);
        if queue.is_littered(self.table.len()) {
            queue.rebuild(self.table.iter().map(|slot| (slot.key, self.seen(slot))));
        }
        self.queue = Some(queue);
    }

    /// Forgets what is idle for the `ttl` and as new again; every so many calls.
    #[inline]
    fn tidy(&mut self, settings: &Settings, now: Instant) {
        if settings.options.ttl.is_none() {
            return;
        }
        self.calls += 1;
        if self.calls >= settings.options.cleanup_interval.max(self.kept) {
            self.calls = 0;
            self.forget_expired(settings, now);
            self.kept = self.table.len();
        }
    }

    /// Forgets what is idle for the `ttl` and as new again.
    pub(super) fn forget_expired(&mut self, settings: &Settings, now: Instant) {
        let Some(ttl) = settings.options.ttl else { return };
        let before = self.table.len();
        let lines = &self.lines;
        self.table.retain(|slot| !expired(slot, ttl, now) || lines.contains_key(&slot.key));
        settings.count.fetch_sub(before - self.table.len(), Ordering::Relaxed);
    }

    fn is_expired(&self, settings: &Settings, slot: &Slot, now: Instant) -> bool {
        let ttl = settings.options.ttl;
        ttl.is_some_and(|ttl| expired(slot, ttl, now)) && !self.lines.contains_key(&slot.key)
    }

    /// Returns an instant of its own for this use.
    #[inline]
    pub(super) fn stamp(&mut self, now: Instant) -> i64 {
        self.stamp = self.stamp.saturating_add(1).max(now.as_nanos());
        self.stamp
    }

    /// Finds room for one more bucket, at the cost of another if it must be.
    pub(super) fn make_room(&mut self, settings: &Settings, now: Instant) -> Result<(), Full> {
        let max = settings.options.max_buckets.unwrap_or(usize::MAX);
        let one_more = |count: usize| (count < max).then_some(count + 1);
        let (relaxed, count) = (Ordering::Relaxed, &settings.count);
        if count.fetch_update(relaxed, relaxed, one_more).is_ok() {
            return Ok(());
        }
        // The newcomer takes the other's place in the count.
        if self.evict(settings, now) { Ok(()) } else { Err(Full) }
    }

    /// Forgets the bucket that is missed least, leaving the count to the caller. False if there
    /// is none to forget.
    pub(super) fn evict(&mut self, settings: &Settings, now: Instant) -> bool {
        let Some(mut queue) = self.queue.take() else { return false };
        let look = |key: Fingerprint| {
            self.table.find(key.low, |slot| slot.key == key).map(|slot| self.seen(slot))
        };
        let victim = match queue.pop(now, look) {
            Victim::Chosen(key) => Some(key),
            Victim::Undecided(key) => Some(self.sample(key, now)),
            Victim::None => None,
        };
        self.queue = Some(queue);
        let Some(key) = victim else { return false };
        if self.level(key).ceil() > now {
            settings.evicted_live.fetch_add(1, Ordering::Relaxed);
        }
        self.extract(key)
    }

    /// Looks at a bounded number of slots for one nearer to new than `best`.
    fn sample(&mut self, best: Fingerprint, now: Instant) -> Fingerprint {
        let mut best = (self.level(best).ceil(), best);
        for _ in 0..SAMPLE.min(self.table.num_buckets()) {
            self.hand = (self.hand + 1) % self.table.num_buckets();
            let Some(slot) = self.table.get_bucket(self.hand) else { continue };
            if !self.lines.contains_key(&slot.key) {
                best = best.min((slot.level.ceil(), slot.key));
            }
            if best.0 <= now {
                break;
            }
        }
        best.1
    }

    fn seen(&self, slot: &Slot) -> Seen {
        let awaited = self.lines.contains_key(&slot.key);
        Seen { fresh_at: slot.level.ceil(), used: slot.used, awaited }
    }
}

fn expired(slot: &Slot, ttl: Duration, now: Instant) -> bool {
    let idle = now.as_nanos().saturating_sub(slot.used);
    idle >= nanos(ttl) && slot.level.ceil() <= now
}
