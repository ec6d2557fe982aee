//! The one bucket of a limiter that tells no keys apart: a word that a take changes without a lock.
//!
//! While somebody waits, or somebody changes the bucket in another way than by taking, the word is
//! held: then the shard has the level, and all go through its lock.

use super::Grant;
use super::shard::{Settings, Shard};
use super::stored::{Held, Shortcut};
use crate::algorithm::{Bucket, KeptLevel, Level, Mark};
use crate::shards::Fingerprint;
use crate::sync::AtomicU128;
use crate::sync::atomic::Ordering;

const KEY: Fingerprint = Fingerprint::EVERYBODY;
/// Set in the tag of a word that is held; below it stands the epoch of the shard's voids.
const HELD: u32 = 1 << 31;

/// The level and the tag of the only bucket.
#[derive(Debug)]
pub struct Direct {
    word: AtomicU128,
    /// The level of a bucket that the shard does not remember.
    fresh: Level,
}

fn word(level: Level, tag: u32) -> u128 {
    u128::from(level.whole as u64) | u128::from(level.part) << 64 | u128::from(tag) << 96
}

fn level(word: u128) -> Level {
    Level { whole: word as u64 as i64, part: (word >> 64) as u32 }
}

fn tag(word: u128) -> u32 {
    (word >> 96) as u32
}

impl Shortcut<Bucket> for Direct {
    fn new(bucket: &Bucket) -> Option<Self> {
        // Who may owe asks once more when it is refused: under the lock.
        let fresh = (bucket.debt() == 0).then(|| bucket.start())?;
        Some(Self { word: AtomicU128::new(word(fresh, 0)), fresh })
    }

    // A take leaves the level ahead of its reading, so none goes by a reading that lost a race.
    #[inline]
    fn change(
        &self,
        cost: u64,
        take: impl Fn(&mut KeptLevel) -> Option<Mark>,
    ) -> Result<Option<Grant>, Held> {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let (mut state, tag) = (KeptLevel::of(level(old)), tag(old));
            if tag & HELD != 0 {
                return Err(Held);
            }
            let Some(Mark { before, after }) = take(&mut state) else { return Ok(None) };
            let new = word(after, tag);
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    return Ok(Some(Grant { key: KEY, cost, after, before, epoch: tag.into() }));
                }
                Err(other) => old = other,
            }
        }
    }

    fn hold(&self, shard: &mut Shard, settings: &Settings) {
        let held = u128::from(HELD) << 96;
        let old = self.word.fetch_or(held, Ordering::AcqRel);
        let level = level(old);
        if tag(old) & HELD != 0 || level == shard.level(settings, KEY) {
            return;
        }
        if shard.slot(KEY).is_some() {
            shard.lower(settings, KEY, KeptLevel::of(level));
        } else {
            let now = level.ceil();
            if shard.make_room(settings, now).is_ok() {
                let used = shard.stamp(now);
                shard.insert(settings, KEY, KeptLevel::of(level), used);
            }
        }
    }

    fn release(&self, shard: &Shard) {
        if shard.lines.is_empty() && shard.own.is_none() {
            let epoch = shard.voids.epoch() as u32 & !HELD;
            let slot = shard.table.find(KEY);
            let level = slot.map_or(self.fresh, |slot| slot.state.level());
            self.word.store(word(level, epoch), Ordering::Release);
        }
    }
}
