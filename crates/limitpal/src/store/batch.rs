//! Many takes at one reading of the clock: each shard is locked once, and the reads of its
//! buckets overlap, since nothing between them waits for a clock.

use super::Store;
use super::shard::Shard;
use super::stored::Stored;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// Buckets that are brought into the cache together.
const AT_ONCE: usize = 16;

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
        let (sorted, ends) = self.by_shard(asks);
        let mut start = 0;
        for (index, end) in ends.into_iter().enumerate() {
            self.take_group(index, &sorted[start..end], now, &mut read, &mut answers);
            start = end;
        }
        Ok(answers)
    }

    /// Returns the asks shard by shard, in their order, and where each shard's end.
    fn by_shard(&self, asks: &[(Fingerprint, u64)]) -> (Vec<Ask>, Vec<usize>) {
        let mut ends = vec![0; self.shards.len()];
        for (key, _) in asks {
            ends[self.index(*key)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            // Where each begins, for now: filling moves it to where it ends.
            sum += std::mem::replace(end, sum);
        }
        let mut sorted = vec![Ask::default(); asks.len()];
        for (rank, &(key, cost)) in asks.iter().enumerate() {
            let place = &mut ends[self.index(key)];
            sorted[*place] = Ask { key, cost, rank };
            *place += 1;
        }
        (sorted, ends)
    }

    fn take_group<E>(
        &self,
        index: usize,
        group: &[Ask],
        now: Instant,
        read: &mut impl FnMut() -> Result<Instant, E>,
        answers: &mut [bool],
    ) {
        let mut rest = group;
        while !rest.is_empty() {
            let mut steps = |shard: &mut Shard<A>, now| {
                while !rest.is_empty() {
                    let chunk = &rest[..rest.len().min(AT_ONCE)];
                    shard.look_ahead(chunk.iter().map(|ask| ask.key));
                    for ask in chunk {
                        let taken = shard.allow(&self.settings, ask.key, ask.cost, now);
                        let Ok(taken) = taken else { return };
                        answers[ask.rank] = taken.is_some();
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
            if !rest.is_empty() && !self.evict_elsewhere() {
                rest = &rest[1..];
            }
        }
    }
}

/// One of a batch, and where it stands in it.
#[derive(Clone, Copy)]
struct Ask {
    key: Fingerprint,
    cost: u64,
    rank: usize,
}

impl Default for Ask {
    fn default() -> Self {
        Self { key: Fingerprint::EVERYBODY, cost: 0, rank: 0 }
    }
}
