//! One locked part of the store: its buckets, its lines and its time.

use std::collections::HashMap;

use hashbrown::HashTable;

use super::evict::{Evictor, Lines};
use super::slot::Slot;
use super::timeline::Timeline;
use super::voids::Voids;
use super::{Full, Grant, StoreOptions};
use crate::algorithm::{Bucket, Level};
use crate::shards::Fingerprint;
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::time::Instant;

/// The level of a bucket that was never used.
pub(super) const FRESH: Level = Level::at(Instant::MIN);

/// Tables of fewer buckets than these are in the cache already.
const WARM: usize = 1024;

/// What all shards share.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) bucket: Bucket,
    pub(super) options: StoreOptions,
    /// Buckets in all shards, kept where `max_buckets` is set.
    pub(super) count: AtomicUsize,
    pub(super) evicted_live: AtomicU64,
}

impl Settings {
    /// Counts buckets that are gone.
    pub(super) fn forgot(&self, buckets: usize) {
        if self.options.max_buckets.is_some() {
            self.count.fetch_sub(buckets, Ordering::Relaxed);
        }
    }
}

/// One part of a store. What every call changes comes first, beside the lock's own word: so a
/// thread that follows another fetches one line of the cache from it, and not three.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Shard {
    pub(super) time: Timeline,
    stamp: i64,
    pub(super) table: HashTable<Slot>,
    calls: usize,
    pub(super) lines: Lines,
    pub(super) voids: Voids,
    evictor: Evictor,
    /// Counts those who have waited here, so that no two who do have the same number.
    pub(super) places: u32,
    /// Buckets left by the last look for those to forget: as many calls pass before the next, so
    /// that a call pays for a few buckets, however many there are.
    kept: usize,
}

impl Shard {
    pub(super) fn new(options: &StoreOptions, is_steady: bool) -> Self {
        Self {
            time: Timeline::new(is_steady),
            table: HashTable::new(),
            lines: HashMap::new(),
            voids: Voids::default(),
            evictor: Evictor::new(options.max_buckets),
            stamp: i64::MIN,
            places: 0,
            calls: 0,
            kept: 0,
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
        self.take_as(settings, key, cost, now, |grant| grant)
    }

    /// As `take`, for whoever gives nothing back: a grant is not made where nobody looks at it.
    #[inline]
    pub(super) fn allow(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Result<Option<()>, Full> {
        self.take_as(settings, key, cost, now, drop)
    }

    #[inline]
    fn take_as<T>(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, Full> {
        self.tidy(settings, now);
        let used = self.stamp(now);
        let Some(slot) = self.table.find_mut(key.low, |slot| slot.is_of(key)) else {
            return Ok(self.take_from_new(settings, key, cost, now, used)?.map(make));
        };
        slot.used = used;
        let before = slot.level();
        let Some(after) = settings.bucket.take(before, cost, now) else {
            return Ok(self.take_freed(settings, key, cost, now).map(make));
        };
        slot.set_level(after);
        let epoch = self.voids.epoch();
        Ok(Some(make(Grant { key, cost, after, before: Some(before), epoch })))
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
        self.insert(key, after, used);
        let epoch = self.voids.epoch();
        Ok(Some(Grant { key, cost, after, before: Some(FRESH), epoch }))
    }

    pub(super) fn insert(&mut self, key: Fingerprint, level: Level, used: i64) {
        self.evictor.adding(&self.table, level);
        self.sweep_up();
        let slot = Slot::new(key, level, used);
        self.table.insert_unique(key.low, slot.clone(), Slot::hash);
        self.evictor.lowered(&self.table, &slot, &self.lines);
    }

    /// Brings the buckets of several keys into the cache: reads that do not wait for one another.
    #[inline]
    pub(super) fn look_ahead(&self, keys: impl Iterator<Item = Fingerprint>) {
        if self.table.len() < WARM {
            return;
        }
        let seen = keys.fold(0, |seen, key| {
            seen ^ self.table.find(key.low, |slot| slot.is_of(key)).map_or(0, |slot| slot.used)
        });
        std::hint::black_box(seen);
    }

    /// Lays the table out anew where forgotten buckets have left it full of gaps that only this
    /// fills, and it would grow though no bucket has been added.
    #[inline]
    fn sweep_up(&mut self) {
        if self.table.len() == self.table.capacity() && !self.table.is_empty() {
            let room = self.table.num_buckets() / 8 * 7;
            if (room / 2 + 1..room / 4 * 3).contains(&self.table.len()) {
                let mut fresh = HashTable::with_capacity(room);
                for slot in self.table.drain() {
                    fresh.insert_unique(slot.hash(), slot, Slot::hash);
                }
                self.table = fresh;
            }
        }
    }

    pub(super) fn slot(&mut self, key: Fingerprint) -> Option<&mut Slot> {
        self.table.find_mut(key.low, |slot| slot.is_of(key))
    }

    /// Returns whether there are buckets that nobody waits for.
    pub(super) fn has_idlers(&self) -> bool {
        self.table.len() > self.lines.len()
    }

    /// Returns how many slots have been looked at to find buckets to forget.
    pub(super) fn looks(&self) -> u64 {
        self.evictor.looks()
    }

    /// Returns the level of a key, whether or not it is remembered.
    pub(super) fn level(&self, key: Fingerprint) -> Level {
        self.table.find(key.low, |slot| slot.is_of(key)).map_or(FRESH, Slot::level)
    }

    pub(super) fn contains(&self, settings: &Settings, key: Fingerprint, now: Instant) -> bool {
        let slot = self.table.find(key.low, |slot| slot.is_of(key));
        slot.is_some_and(|slot| !self.is_expired(settings, slot, now))
    }

    /// Forgets one bucket whatever its level.
    pub(super) fn remove(&mut self, settings: &Settings, key: Fingerprint) {
        if self.extract(key) {
            settings.forgot(1);
        }
    }

    fn extract(&mut self, key: Fingerprint) -> bool {
        let entry = self.table.find_entry(key.low, |slot| slot.is_of(key));
        entry.map(|entry| entry.remove()).is_ok()
    }

    /// Puts a bucket back to an earlier level, and in its place among those to be forgotten.
    pub(super) fn lower(&mut self, key: Fingerprint, level: Level) {
        let Some(slot) = self.slot(key) else { return };
        slot.set_level(level);
        let slot = slot.clone();
        self.evictor.lowered(&self.table, &slot, &self.lines);
    }

    /// Makes all takes so far from a bucket give nothing back.
    pub(super) fn disown(&mut self, key: Fingerprint, now: Instant) {
        let fresh_at = self.level(key).ceil();
        self.voids.add(key, fresh_at, now);
    }

    /// Forgets what is idle for the `ttl` and as new again; every so many calls.
    #[inline]
    pub(super) fn tidy(&mut self, settings: &Settings, now: Instant) {
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
        self.table.retain(|slot| !slot.is_expired(ttl, now) || lines.contains_key(&slot.key()));
        settings.forgot(before - self.table.len());
    }

    fn is_expired(&self, settings: &Settings, slot: &Slot, now: Instant) -> bool {
        let ttl = settings.options.ttl;
        ttl.is_some_and(|ttl| slot.is_expired(ttl, now)) && !self.lines.contains_key(&slot.key())
    }

    /// Returns an instant of its own for this use.
    #[inline]
    pub(super) fn stamp(&mut self, now: Instant) -> i64 {
        self.stamp = self.stamp.saturating_add(1).max(now.as_nanos());
        self.stamp
    }

    /// Finds room for one more bucket, at the cost of another if it must be.
    #[inline]
    pub(super) fn make_room(&mut self, settings: &Settings, now: Instant) -> Result<(), Full> {
        let Some(max) = settings.options.max_buckets else { return Ok(()) };
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
        if !self.has_idlers() {
            return false;
        }
        let Some(key) = self.evictor.choose(&self.table, &self.lines, now) else { return false };
        if self.level(key).ceil() > now {
            settings.evicted_live.fetch_add(1, Ordering::Relaxed);
            self.disown(key, now);
        }
        self.extract(key)
    }
}
