//! The leaky bucket: what waits leaves one by one, evenly.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::builder::BucketBuilder;
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{Bucket, Carry, Pace};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// The smooth one: a backlog drains at `leak_rate`; each key has its own.
///
/// `allow` joins while the backlog is below `capacity` (policing). `acquire` leaves one interval
/// after the one before it, so that what waits goes evenly, without bursts; it never refuses for
/// capacity. All it does besides is written at [`AnyLimiter`], to which it dereferences.
///
/// ```
/// use limitpal::{LeakyBucket, MockClock, Rate};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = LeakyBucket::builder(20, Rate::per_second(10.0)?).clock(clock.clone()).build()?;
/// for _ in 0..3 {
///     limiter.acquire_blocking("job")?;
/// }
/// assert_eq!(200_000_000, clock.now().as_nanos(), "the first at once, then ten a second");
/// assert_eq!(1, limiter.queue_size("job"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LeakyBucket {
    keyed: Arc<Keyed<SharedClock>>,
    any: AnyLimiter,
}

impl LeakyBucket {
    /// Makes one with the defaults of [`BucketBuilder`].
    ///
    /// # Errors
    ///
    /// A capacity of 0, or a bucket that takes more than 100 years to drain.
    pub fn new(capacity: u32, leak_rate: Rate) -> Result<Self, InvalidConfig> {
        Self::builder(capacity, leak_rate).build()
    }

    /// Starts one with options.
    pub fn builder(capacity: u32, leak_rate: Rate) -> BucketBuilder<Self> {
        BucketBuilder::new(capacity, leak_rate, Pace::Even)
    }

    /// Starts one from a limit in words, as [`Rate::parse`] reads it; the capacity is the count.
    ///
    /// It is a builder, so that [`capacity`](BucketBuilder::capacity) and options can follow.
    ///
    /// ```
    /// use limitpal::LeakyBucket;
    /// use std::time::Duration;
    ///
    /// let limiter = LeakyBucket::per("100/minute")?.capacity(5).build()?;
    /// assert_eq!(105, limiter.bound(Duration::from_secs(60)));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Words that are no limit, with the place; a rate outside 1e-9 to 1e6 per second.
    pub fn per(rate: &str) -> Result<BucketBuilder<Self>, InvalidConfig> {
        BucketBuilder::per(rate, Pace::Even)
    }

    /// Returns the backlog up to which `allow` joins.
    pub fn capacity(&self) -> u32 {
        self.keyed.store().bucket().capacity()
    }

    /// Returns the rate at which a backlog drains.
    pub fn leak_rate(&self) -> Rate {
        self.keyed.store().bucket().rate()
    }

    /// Returns a key's backlog in whole permits, rounded up.
    pub fn queue_size(&self, key: &str) -> u64 {
        sure(self.keyed.queued(sure(self.keyed.fingerprint(key))))
    }

    /// Returns the time until `allow` would succeed.
    pub fn wait_time(&self, key: &str) -> Duration {
        self.peek(key).retry_after.duration().unwrap_or_default()
    }
}

super::keyed_handle!(LeakyBucket, Bucket);
