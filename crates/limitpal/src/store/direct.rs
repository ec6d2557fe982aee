//! The one bucket of a limiter that tells no keys apart: a word that a take changes without a lock.
//! The number in its tag is the last bits of the epoch of the shard's voids.
//!
//! While somebody waits, or somebody changes the bucket in another way than by taking, the word is
//! held: then the shard has the level, and all go through its lock.

use super::Grant;
use super::shard::{Settings, Shard};
use super::stored::{Held, Shortcut};
use super::word::{HELD, NEXT, NUMBER, ONE, OURS, level, tag, tagged, taken, word};
use crate::algorithm::{Bucket, KeptLevel, Level, Mark};
use crate::shards::Fingerprint;
use crate::sync::atomic::Ordering;
use crate::sync::{AtomicU128, Lanes};

const KEY: Fingerprint = Fingerprint::EVERYBODY;
/// The level and the tag of the only bucket.
#[derive(Debug)]
pub struct Direct {
    word: AtomicU128,
    /// The level of a bucket that the shard does not remember.
    fresh: Level,
    refused: Lanes,
}

impl Direct {
    #[cold]
    #[inline(never)] // those who take do not prepare for it
    fn count_refused(&self) {
        self.refused.count();
    }
}

impl Shortcut<Bucket> for Direct {
    fn new(bucket: &Bucket) -> Option<Self> {
        // Who may owe asks once more when it is refused: under the lock.
        let fresh = (bucket.debt() == 0).then(|| bucket.start())?;
        Some(Self { word: AtomicU128::new(word(fresh, 0)), fresh, refused: Lanes::new() })
    }

    // A take leaves the level ahead of its reading, so none goes by a reading that lost a race.
    #[inline]
    fn change(
        &self,
        cost: u64,
        is_final: bool,
        take: impl Fn(&mut KeptLevel) -> Option<Mark>,
    ) -> Result<Option<Grant>, Held> {
        let mut old = self.word.load(Ordering::Acquire);
        loop {
            let (mut state, tag) = (KeptLevel::of(level(old)), tag(old));
            if tag & HELD != 0 {
                return Err(Held);
            }
            let Some(Mark { before, after }) = take(&mut state) else {
                if is_final {
                    self.count_refused();
                }
                return Ok(None);
            };
            let new = word(after, tag.wrapping_add(ONE));
            match self.word.compare_exchange_weak(old, new, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    let epoch = u64::from((tag & NUMBER) / NEXT);
                    return Ok(Some(Grant { key: KEY, cost, after, before, epoch }));
                }
                Err(other) => old = other,
            }
        }
    }

    fn hold(&self, shard: &mut Shard, settings: &Settings) {
        let old = self.word.fetch_or(tagged(HELD | OURS), Ordering::AcqRel);
        if tag(old) & OURS != 0 {
            return;
        }
        shard.admitted += taken(tag(old));
        let level = level(old);
        if level == shard.level(settings, KEY) {
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
            let epoch = (shard.voids.epoch() as u32).wrapping_mul(NEXT) & NUMBER;
            let slot = shard.table.find(KEY);
            let level = slot.map_or(self.fresh, |slot| slot.state.level());
            self.word.store(word(level, epoch), Ordering::Release);
        }
    }

    // Of two epochs that end alike it is the later: no take lasts through a million voids.
    fn epoch(&self, shard: &Shard, told: u64) -> u64 {
        let now = shard.voids.epoch();
        now - (now.wrapping_sub(told) & u64::from(NUMBER / NEXT))
    }

    fn refused(&self) -> u64 {
        self.refused.sum()
    }
}
