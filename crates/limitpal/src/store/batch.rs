//! Many takes at one reading of the clock: each shard is locked once, and the reads of its
//! buckets overlap, since nothing between them waits for a clock.

use super::shard::Shard;
use super::stored::Stored;
use super::{Full, Store};
use crate::shards::{self, Fingerprint};
use crate::time::Instant;

/// Buckets that are brought into the cache together.
const AT_ONCE: usize = 16;
/// Asks that are gone through together, few enough that they stay in the cache.
const BLOCK: usize = 1024;
/// No ask: behind the last of a shard.
const NONE: u16 = u16::MAX;

impl<A: Stored> Store<A> {
    /// Takes for each if possible now; `of` says whose and how much. Those for one key are asked in
    /// their order.
    ///
    /// Fails only if the first reading does: then nothing was taken.
    pub fn take_many<T, E>(
        &self,
        asks: &[T],
        of: impl Fn(&T) -> (Fingerprint, u64),
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Vec<bool>, E> {
        let mut answers = vec![false; asks.len()];
        if asks.is_empty() {
            return Ok(answers);
        }
        let now = read()?;
        for (asks, answers) in asks.chunks(BLOCK).zip(answers.chunks_mut(BLOCK)) {
            let mut block = Block { asks, of: &of, next: [NONE; BLOCK] };
            for (index, first) in self.by_shard(&mut block).into_iter().enumerate() {
                if first != NONE {
                    self.take_group(index, &block, first, (now, &mut read), answers);
                }
            }
        }
        Ok(answers)
    }

    /// Links the asks of each shard in their order; returns the first of each.
    fn by_shard<T>(&self, block: &mut Block<'_, T, impl Ask<T>>) -> [u16; shards::MANY] {
        let mut first = [NONE; shards::MANY];
        for rank in (0..block.asks.len() as u16).rev() {
            let first = &mut first[self.index(block.at(rank).0)];
            block.next[usize::from(rank)] = std::mem::replace(first, rank);
        }
        first
    }

    fn take_group<T, E>(
        &self,
        index: usize,
        block: &Block<'_, T, impl Ask<T>>,
        first: u16,
        (now, read): (Instant, &mut impl FnMut() -> Result<Instant, E>),
        answers: &mut [bool],
    ) {
        let (mut rest, settings) = (first, &self.settings);
        while rest != NONE {
            let mut steps = |shard: &mut Shard<A>, now| {
                let (mut rank, mut seen) = (rest, 0);
                while rank != NONE {
                    if seen == 0 {
                        shard.look_ahead(block.from(rank).map(|rank| block.at(rank).0));
                        seen = AT_ONCE;
                    }
                    seen -= 1;
                    let (key, cost) = block.at(rank);
                    let step =
                        |shard: &mut Shard<A>, now| shard.allow_next(settings, key, cost, now);
                    // Not by `admit`, so that it is laid out here.
                    let taken = match shard.allow_next(settings, key, cost, now) {
                        Err(Full) => shard.or_inherit(settings, key, now, step),
                        taken => taken,
                    };
                    let Ok(taken) = taken else {
                        rest = rank;
                        return;
                    };
                    answers[usize::from(rank)] = taken.is_some();
                    rank = block.behind(rank);
                }
                rest = NONE;
            };
            if self.with_shard_at(index, now, &mut *read, &mut steps).is_err() {
                // The clock has failed since: its time stands still for those that are left.
                let mut shard = self.lock(index);
                let now = shard.time.now();
                steps(&mut shard, now);
            }
            if rest != NONE && !self.makes_room() {
                rest = block.behind(rest);
            }
        }
    }
}

/// Says whose an ask is, and how much it is for.
trait Ask<T>: Fn(&T) -> (Fingerprint, u64) {}

impl<T, F: Fn(&T) -> (Fingerprint, u64)> Ask<T> for F {}

/// Asks that are gone through together.
struct Block<'a, T, F> {
    asks: &'a [T],
    of: &'a F,
    /// The rank of the next one that belongs to the same shard.
    next: [u16; BLOCK],
}

impl<T, F: Ask<T>> Block<'_, T, F> {
    #[inline]
    fn at(&self, rank: u16) -> (Fingerprint, u64) {
        (self.of)(&self.asks[usize::from(rank)])
    }

    #[inline]
    fn behind(&self, rank: u16) -> u16 {
        self.next[usize::from(rank)]
    }

    /// Returns some from one on that belong to the same shard.
    #[inline]
    fn from(&self, first: u16) -> impl Iterator<Item = u16> {
        let some = |rank: u16| (rank != NONE).then_some(rank);
        std::iter::successors(some(first), move |rank| some(self.behind(*rank))).take(AT_ONCE)
    }
}
