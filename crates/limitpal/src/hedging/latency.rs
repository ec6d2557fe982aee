//! How long calls usually take: one percentile over a sliding time, in a bounded space.

use std::time::Duration;

use crate::time::{Instant, nanos};

/// Each doubling of the latency is cut into `2^FINE` buckets, so a latency is known to one part in
/// 32: what is read is never below the true percentile, and at most a 32nd above it.
const FINE: u32 = 5;
/// Latencies of `2^LONGEST` ns, 73 minutes, and longer are counted as that long.
const LONGEST: u32 = 42;
const BUCKETS: usize = ((LONGEST - FINE + 1) << FINE) as usize;

/// A percentile of the latencies of the last half to whole `window`. It takes 9.5 KiB.
///
/// They are counted in two halves, of which the older one goes as a whole. The bucket of the
/// percentile is kept, and moves a little with each latency, so that reading it costs nothing.
#[derive(Debug)]
pub(crate) struct Latency {
    /// From 0 to 1.
    share: f64,
    /// Half a window, in nanoseconds.
    half: i64,
    /// Which half since the clock's zero is the present one.
    index: i64,
    recent: Box<[u32]>,
    older: Box<[u32]>,
    total: u64,
    /// The bucket in which the percentile lies, and how many latencies lie in those below it.
    bucket: usize,
    below: u64,
}

impl Latency {
    pub(crate) fn new(percentile: f64, window: Duration) -> Self {
        let counts = || vec![0; BUCKETS].into_boxed_slice();
        Self {
            share: percentile / 100.0,
            half: (nanos(window) / 2).max(1),
            index: i64::MIN,
            recent: counts(),
            older: counts(),
            total: 0,
            bucket: 0,
            below: 0,
        }
    }

    /// Forgets what is too old at `now`. After a step back time goes on from there, and nothing is
    /// forgotten.
    pub(crate) fn advance(&mut self, now: Instant) {
        let index = now.as_nanos().div_euclid(self.half);
        let gone = index.saturating_sub(self.index);
        self.index = index;
        if gone <= 0 {
            return;
        }
        std::mem::swap(&mut self.recent, &mut self.older);
        self.recent.fill(0);
        if gone > 1 {
            self.older.fill(0);
        }
        self.total = self.older.iter().map(|count| u64::from(*count)).sum();
        (self.bucket, self.below) = (0, 0);
        self.settle();
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        let bucket = bucket_of(latency);
        let Some(count) = self.recent[bucket].checked_add(1) else { return };
        self.recent[bucket] = count;
        self.total += 1;
        self.below += u64::from(bucket < self.bucket);
        self.settle();
    }

    /// Returns the percentile, if so many latencies are known: that of n is the k-th smallest,
    /// where `k = ceil(share * n)`.
    pub(crate) fn percentile(&self, min_samples: u32) -> Option<Duration> {
        (self.total >= u64::from(min_samples.max(1))).then(|| longest_of(self.bucket))
    }

    /// Moves to the bucket in which the percentile lies now.
    fn settle(&mut self) {
        let rank = ((self.share * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        while self.bucket > 0 && self.below >= rank {
            self.bucket -= 1;
            self.below -= self.count(self.bucket);
        }
        while self.bucket + 1 < BUCKETS && self.below + self.count(self.bucket) < rank {
            self.below += self.count(self.bucket);
            self.bucket += 1;
        }
    }

    fn count(&self, bucket: usize) -> u64 {
        u64::from(self.recent[bucket]) + u64::from(self.older[bucket])
    }
}

/// Returns the bucket of a latency: the exponent, and the `FINE` bits behind the first.
fn bucket_of(latency: Duration) -> usize {
    let nanos = nanos(latency).unsigned_abs().min((1 << LONGEST) - 1);
    if nanos < 1 << FINE {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - FINE;
    (shift << FINE) as usize + (nanos >> shift) as usize
}

/// Returns the longest latency that falls into a bucket.
fn longest_of(bucket: usize) -> Duration {
    let shift = (bucket >> FINE).saturating_sub(1);
    let first = bucket - (shift << FINE);
    Duration::from_nanos((((first + 1) as u64) << shift) - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS {
            let longest = longest_of(bucket);
            assert_eq!(bucket, bucket_of(longest));
            if bucket + 1 < BUCKETS {
                assert_eq!(bucket + 1, bucket_of(longest + Duration::from_nanos(1)));
            }
        }
        assert_eq!(BUCKETS - 1, bucket_of(Duration::MAX));
    }

    proptest! {
        /// Never below the true percentile of what is remembered, and at most a 32nd above.
        #[test]
        fn the_percentile_is_that_of_the_last_two_halves(
            percentile in 0.1..99.9_f64,
            steps in prop::collection::vec((0_u64..30, 0_u32..42, any::<u64>()), 1..200),
        ) {
            let mut known = Latency::new(percentile, Duration::from_nanos(100));
            let (mut now, mut all) = (0, Vec::new());
            for (gap, size, bits) in steps {
                now += gap;
                let latency = bits & ((1 << size) - 1);
                known.advance(Instant::from_nanos(now as i64));
                known.add(Duration::from_nanos(latency));
                all.push((now / 50, latency));

                let mut last: Vec<u64> = all.iter().filter(|it| it.0 + 1 >= now / 50)
                    .map(|it| it.1).collect();
                last.sort_unstable();
                let rank = ((percentile / 100.0 * last.len() as f64).ceil() as usize).max(1);
                let (true_one, read) = (last[rank - 1], known.percentile(1).unwrap());
                let read = read.as_nanos() as u64;
                prop_assert!(true_one <= read && read - true_one <= true_one / 32);
                prop_assert_eq!(None, known.percentile(last.len() as u32 + 1));
            }
        }
    }
}
