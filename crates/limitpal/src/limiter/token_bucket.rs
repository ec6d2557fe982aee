//! The token bucket: bursts up to its capacity, a rate in the long run.

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

/// Lets bursts of up to `capacity` pass, and `refill_rate` in the long run; each key has its own.
///
/// It starts full. The worst case in any window `W` is `capacity + refill_rate * W`. All it does
/// besides is written at [`AnyLimiter`], to which it dereferences.
///
/// ```
/// use limitpal::{MockClock, Rate, TokenBucket};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = TokenBucket::builder(2, Rate::per_second(4.0)?).clock(clock.clone()).build()?;
/// assert!(limiter.allow("ann") && limiter.allow("ann"));
/// assert!(!limiter.allow("ann"));
/// assert!(limiter.allow("bob"));
///
/// clock.advance(Duration::from_millis(250));
/// assert_eq!(1.0, limiter.tokens("ann"));
/// assert!(limiter.allow("ann"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct TokenBucket {
    keyed: Arc<Keyed<SharedClock>>,
    any: AnyLimiter,
}

impl TokenBucket {
    /// Makes one with the defaults of [`BucketBuilder`].
    ///
    /// # Errors
    ///
    /// A capacity of 0, or a bucket that takes more than 100 years to fill.
    pub fn new(capacity: u32, refill_rate: Rate) -> Result<Self, InvalidConfig> {
        Self::builder(capacity, refill_rate).build()
    }

    /// Starts one with options.
    pub fn builder(capacity: u32, refill_rate: Rate) -> BucketBuilder<Self> {
        BucketBuilder::new(capacity, refill_rate, Pace::Burst)
    }

    /// Starts one from a limit in words, as [`Rate::parse`] reads it; the burst is the count.
    ///
    /// It is a builder, so that burst and options follow by the names they have everywhere.
    /// A full bucket refills while it is emptied: `"100/minute"` admits 200 in the worst minute, and
    /// with a [`burst`](BucketBuilder::burst) of 10 it admits 110. See [`AnyLimiter::bound`].
    ///
    /// ```
    /// use limitpal::TokenBucket;
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(200, TokenBucket::per("100/minute")?.build()?.bound(minute));
    /// assert_eq!(110, TokenBucket::per("100/minute")?.burst(10).build()?.bound(minute));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Words that are no limit, with the place; a rate outside 1e-9 to 1e6 per second.
    pub fn per(rate: &str) -> Result<BucketBuilder<Self>, InvalidConfig> {
        BucketBuilder::per(rate, Pace::Burst)
    }

    /// Returns the burst.
    pub fn capacity(&self) -> u32 {
        self.keyed.store().bucket().capacity()
    }

    /// Returns the rate in the long run.
    pub fn refill_rate(&self) -> Rate {
        self.keyed.store().bucket().rate()
    }

    /// Returns the tokens that a key has now, in fractions.
    pub fn tokens(&self, key: &str) -> f64 {
        sure(self.keyed.tokens(sure(self.keyed.fingerprint(key))))
    }
}

super::keyed_handle!(TokenBucket, Bucket);
