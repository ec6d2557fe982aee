//! The one bucket of a limiter that tells no keys apart: a word that a take changes without a lock.
//!
//! While somebody waits, or somebody changes the bucket in another way than by taking, the word is
//! held: then the shard has the level, and all go through its lock.

use std::ops::{Deref, DerefMut};

use super::Grant;
use super::shard::{FRESH, Settings, Shard};
use crate::algorithm::Level;
use crate::shards::Fingerprint;
use crate::sync::atomic::Ordering;
use crate::sync::{AtomicU128, MutexGuard};

const KEY: Fingerprint = Fingerprint::EVERYBODY;
/// Set in the tag of a word that is held; below it stands the epoch of the shard's voids.
const HELD: u32 = 1 << 31;

/// The level and the tag of the only bucket.
#[derive(Debug)]
pub(super) struct Direct(AtomicU128);

/// It is held: go through the lock.
pub(super) struct Held;

fn word(level: Level, tag: u32) -> u128 {
    u128::from(level.whole as u64) | u128::from(level.part) << 64 | u128::from(tag) << 96
}

fn level(word: u128) -> Level {
    Level { whole: word as u64 as i64, part: (word >> 64) as u32 }
}

fn tag(word: u128) -> u32 {
    (word >> 96) as u32
}

impl Direct {
    pub(super) fn new() -> Self {
        Self(AtomicU128::new(word(FRESH, 0)))
    }

    /// Takes if `take` finds room. A reading that lost a race may refuse what a later one would
    /// not, and never the reverse: a take leaves the level ahead of its reading.
    #[inline]
    pub(super) fn take(
        &self,
        cost: u64,
        take: impl Fn(Level) -> Option<Level>,
    ) -> Result<Option<Grant>, Held> {
        let mut old = self.0.load(Ordering::Acquire);
        loop {
            let (before, tag) = (level(old), tag(old));
            if tag & HELD != 0 {
                return Err(Held);
            }
            let Some(after) = take(before) else { return Ok(None) };
            let new = word(after, tag);
            match self.0.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let (before, epoch) = (Some(before), tag.into());
                    return Ok(Some(Grant { key: KEY, cost, after, before, epoch }));
                }
                Err(other) => old = other,
            }
        }
    }

    /// Gives the shard the level; from here on all go through its lock.
    fn hold(&self, shard: &mut Shard, settings: &Settings) {
        let held = u128::from(HELD) << 96;
        let old = self.0.fetch_or(held, Ordering::AcqRel);
        let level = level(old);
        if tag(old) & HELD != 0 || level == shard.level(KEY) {
            return;
        }
        if shard.slot(KEY).is_some() {
            shard.lower(KEY, level);
        } else {
            let now = level.ceil();
            if shard.make_room(settings, now).is_ok() {
                let used = shard.stamp(now);
                shard.insert(KEY, level, used);
            }
        }
    }

    /// Takes the level from the shard, unless there is more to know than that.
    fn release(&self, shard: &Shard) {
        if shard.lines.is_empty() {
            let epoch = shard.voids.epoch() as u32 & !HELD;
            self.0.store(word(shard.level(KEY), epoch), Ordering::Release);
        }
    }
}

/// A shard under its lock, with the word held while it lasts.
pub(super) struct Locked<'s> {
    shard: MutexGuard<'s, Shard>,
    direct: Option<&'s Direct>,
}

impl<'s> Locked<'s> {
    #[inline]
    pub(super) fn new(
        mut shard: MutexGuard<'s, Shard>,
        direct: Option<&'s Direct>,
        settings: &Settings,
    ) -> Self {
        if let Some(direct) = direct {
            direct.hold(&mut shard, settings);
        }
        Self { shard, direct }
    }
}

impl Deref for Locked<'_> {
    type Target = Shard;

    #[inline]
    fn deref(&self) -> &Shard {
        &self.shard
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Shard {
        &mut self.shard
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(direct) = self.direct {
            direct.release(&self.shard);
        }
    }
}
