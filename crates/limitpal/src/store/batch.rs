//! Many takes at one reading of the clock: each shard is locked once, and the reads of its
//! buckets overlap, since nothing between them waits for a clock.

use super::Store;
use super::shard::Shard;
use super::stored::Stored;
use crate::shards::{self, Fingerprint};
use crate::time::Instant;

/// Buckets that are brought into the cache together.
const AT_ONCE: usize = 16;
/// Asks that are sorted together, few enough that they stay in the cache.
const BLOCK: usize = 1024;

impl<A: Stored> Store<A> {
    /// Takes for each if possible now. Those for one key are asked in their order.
    ///
    /// Fails only if the first reading does: then nothing was taken.
    pub fn take_many<E>(
        &self,
        asks: &[(Fingerprint, u64)],
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Vec<bool>, E> {
        let mut answers = vec![false; asks.len()];
        if asks.is_empty() {
            return Ok(answers);
        }
        let now = read()?;
        for (asks, answers) in asks.chunks(BLOCK).zip(answers.chunks_mut(BLOCK)) {
            let (ranks, ends) = self.by_shard(asks);
            let mut start = 0;
            for (index, end) in ends.into_iter().enumerate().take(self.shards.len()) {
                let group = Group { asks, ranks: &ranks[start..usize::from(end)] };
                self.take_group(index, group, now, &mut read, answers);
                start = end.into();
            }
        }
        Ok(answers)
    }

    /// Returns the ranks of asks shard by shard, in their order, and where each shard's end.
    fn by_shard(&self, asks: &[(Fingerprint, u64)]) -> ([u16; BLOCK], [u16; shards::MANY]) {
        let mut ends = [0; shards::MANY];
        for (key, _) in asks {
            ends[self.index(*key)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where each begins, for now: filling moves it to where it ends.
            sum += std::mem::replace(end, sum);
        }
        let mut ranks = [0; BLOCK];
        for (rank, (key, _)) in asks.iter().enumerate() {
            let place = &mut ends[self.index(*key)];
            ranks[usize::from(*place)] = rank as u16;
            *place += 1;
        }
        (ranks, ends)
    }

    fn take_group<E>(
        &self,
        index: usize,
        group: Group<'_>,
        now: Instant,
        read: &mut impl FnMut() -> Result<Instant, E>,
        answers: &mut [bool],
    ) {
        let (Group { asks, ranks: mut rest }, settings) = (group, &self.settings);
        while !rest.is_empty() {
            let mut steps = |shard: &mut Shard<A>, now| {
                while !rest.is_empty() {
                    let chunk = &rest[..rest.len().min(AT_ONCE)];
                    shard.look_ahead(chunk.iter().map(|rank| asks[usize::from(*rank)].0));
                    for rank in chunk {
                        let (key, cost) = asks[usize::from(*rank)];
                        let step = move |shard: &mut Shard<A>, now| {
                            shard.allow_next(settings, key, cost, now)
                        };
                        let Ok(taken) = shard.admit(settings, key, now, step) else { return };
                        answers[usize::from(*rank)] = taken.is_some();
                        rest = &rest[1..];
                    }
                }
            };
            if self.with_shard_at(index, now, &mut *read, &mut steps).is_err() {
                // The clock has failed since: its time stands still for those that are left.
                let mut shard = self.lock(index);
                let now = shard.time.now();
                steps(&mut shard, now);
            }
            if !rest.is_empty() && !self.makes_room() {
                rest = &rest[1..];
            }
        }
    }
}

/// Those of a block that belong to one shard, by their ranks.
#[derive(Clone, Copy)]
struct Group<'a> {
    asks: &'a [(Fingerprint, u64)],
    ranks: &'a [u16],
}
