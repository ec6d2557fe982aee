//! The options of a keyed limiter, checked when it is built.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::keyed::{Keyed, KeyedOptions};
use super::{LeakyBucket, TokenBucket};
use crate::algorithm::{Bucket, Pace};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// Builds a [`TokenBucket`](crate::TokenBucket) or a [`LeakyBucket`](crate::LeakyBucket).
///
/// Defaults: the monotonic clock, a bucket for each key, none of them ever forgotten
/// (`cleanup_interval` is 100 calls and counts only with a `ttl`).
///
/// ```
/// use limitpal::{Rate, TokenBucket};
/// use std::time::Duration;
///
/// let limiter = TokenBucket::builder(10, Rate::per_second(5.0)?)
///     .ttl(Duration::from_secs(300))
///     .max_buckets(10_000)
///     .key_by(|key| key.split(':').next().unwrap_or(key).to_owned())
///     .build()?;
/// assert!(limiter.allow("tenant-1:user-7"));
/// assert!(limiter.contains("tenant-1"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[must_use = "a builder makes nothing until `build` is called"]
pub struct BucketBuilder<L> {
    capacity: u32,
    /// What the user knows the capacity by.
    capacity_name: &'static str,
    rate: Rate,
    pace: Pace,
    clock: SharedClock,
    options: KeyedOptions<Infallible>,
    limiter: PhantomData<fn() -> L>,
}

impl<L: From<Arc<Keyed<SharedClock>>>> BucketBuilder<L> {
    pub(super) fn new(capacity: u32, rate: Rate, pace: Pace) -> Self {
        let (clock, options) = (SharedClock::default(), KeyedOptions::default());
        let capacity_name = "capacity";
        Self { capacity, capacity_name, rate, pace, clock, options, limiter: PhantomData }
    }

    /// Starts one from a limit in words, whose count is the capacity.
    pub(super) fn per(rate: &str, pace: Pace) -> Result<Self, InvalidConfig> {
        let (rate, count, _) = Rate::written(rate)?;
        Ok(Self::new(count, rate, pace))
    }

    /// Reads this clock and sleeps by it.
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Forgets a bucket that was idle this long and is full again.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.options.store.ttl = Some(ttl);
        self
    }

    /// Keeps at most so many buckets. A newcomer takes the place of one that is full again, the
    /// least recently used first; where all are in use, of the one nearest to full.
    pub fn max_buckets(mut self, max_buckets: usize) -> Self {
        self.options.store.max_buckets = Some(max_buckets);
        self
    }

    /// Looks for buckets past their `ttl` every so many calls. No decision depends on it.
    pub fn cleanup_interval(mut self, calls: usize) -> Self {
        self.options.store.cleanup_interval = calls;
        self
    }

    /// With `false`, one bucket for everybody, whatever the key.
    pub fn per_key(mut self, per_key: bool) -> Self {
        self.options.per_key = per_key;
        self
    }

    /// Maps the caller's key to the bucket's: a user to its tenant, say.
    pub fn key_by(mut self, map: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.options.key_by = Some(Arc::new(move |key| Ok(map(key))));
        self
    }

    /// Checks the options and makes the limiter.
    ///
    /// # Errors
    ///
    /// A capacity or burst of 0; a bucket that takes more than 100 years to fill; a `ttl` of 0 or above 100
    /// years; a `max_buckets` or `cleanup_interval` of 0.
    pub fn build(self) -> Result<L, InvalidConfig> {
        let named = |error: InvalidConfig| match error.parameter() {
            "capacity" => error.about(self.capacity_name),
            _ => error,
        };
        let bucket = Bucket::new(self.capacity, self.rate, self.pace).map_err(named)?;
        Ok(Arc::new(Keyed::new(bucket, self.options, self.clock)?).into())
    }
}

impl BucketBuilder<TokenBucket> {
    /// Lets so many pass at once: the capacity, by the name it has beside a limit in words.
    ///
    /// ```
    /// use limitpal::TokenBucket;
    ///
    /// let limiter = TokenBucket::per("100/minute")?.burst(10).build()?;
    /// assert_eq!(10, limiter.capacity());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn burst(mut self, burst: u32) -> Self {
        (self.capacity, self.capacity_name) = (burst, "burst");
        self
    }
}

impl BucketBuilder<LeakyBucket> {
    /// Lets `allow` join up to this backlog, whatever the words counted.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }
}

impl<L> std::fmt::Debug for BucketBuilder<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketBuilder")
            .field("capacity", &self.capacity)
            .field("rate", &self.rate)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
