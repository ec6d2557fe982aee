//! Many takes at one reading of the clock: each shard is locked once, and the reads of its
//! buckets overlap, since nothing between them waits for a clock.

use super::Store;
use super::fingerprint::Fingerprint;
use super::shard::Shard;
use crate::time::Instant;

/// Buckets that are brought into the cache together.
const AT_ONCE: usize = 16;

impl Store {
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
        let ranks = self.by_shard(asks);
        let shard_of = |rank: &u32| self.index(asks[*rank as usize].0);
        for group in ranks.chunk_by(|one, next| shard_of(one) == shard_of(next)) {
            self.take_group(Group { ranks: group, asks, now }, &mut read, &mut answers);
        }
        Ok(answers)
    }

    /// Returns the ranks of asks, those of one shard together and in their order.
    fn by_shard(&self, asks: &[(Fingerprint, u64)]) -> Vec<u32> {
        let mut ends = vec![0; self.shards.len() + 1];
        for (key, _) in asks {
            ends[self.index(*key) + 1] += 1;
        }
        for index in 0..self.shards.len() {
            ends[index + 1] += ends[index];
        }
        let mut ranks = vec![0; asks.len()];
        for (rank, (key, _)) in asks.iter().enumerate() {
            let place: &mut usize = &mut ends[self.index(*key)];
            ranks[*place] = rank as u32;
            *place += 1;
        }
        ranks
    }

    fn take_group<E>(
        &self,
        group: Group<'_>,
        read: &mut impl FnMut() -> Result<Instant, E>,
        answers: &mut [bool],
    ) {
        let Group { ranks, asks, now } = group;
        let index = self.index(asks[ranks[0] as usize].0);
        let mut done = 0;
        while let Some(rest) = ranks.get(done..).filter(|rest| !rest.is_empty()) {
            let mut steps = |shard: &mut Shard, now| {
                for chunk in rest.chunks(AT_ONCE) {
                    shard.look_ahead(chunk.iter().map(|rank| asks[*rank as usize].0));
                    for &rank in chunk {
                        let (key, cost) = asks[rank as usize];
                        let Ok(taken) = shard.allow(&self.settings, key, cost, now) else { return };
                        answers[rank as usize] = taken.is_some();
                        done += 1;
                    }
                }
            };
            if self.with_shard_at(index, now, &mut *read, &mut steps).is_err() {
                // The clock has failed since: its time stands still for those that are left.
                let mut shard = self.lock(index);
                let now = shard.time.now();
                steps(&mut shard, now);
            }
            if done < ranks.len() && !self.evict_elsewhere() {
                done += 1;
            }
        }
    }
}

/// Those of a batch that belong to one shard, by rank, and the reading of the clock for all.
struct Group<'a> {
    ranks: &'a [u32],
    asks: &'a [(Fingerprint, u64)],
    now: Instant,
}
