//! The token bucket that is slow when it is cold, and warms up under load.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::builder::{BucketBuilder, Draft};
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{Algorithm, Carry, WarmUp};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// As a [`TokenBucket`](crate::TokenBucket), for a service that is slow when it has not been used
/// for a while; each key has a warmth of its own.
///
/// A key that is cold, as a new one is, gets its permits at `refill_rate / cold_factor`. Under load
/// it gets them ever faster, and after `warm_up` of it at `refill_rate`; idle it cools again, from
/// warm to cold in `warm_up` with a cold factor of 3, the default. A call goes as soon as the
/// bucket would have it if it were warm; its own price, which may be higher, is paid by those after
/// it. So a burst at a cold key is about `capacity / cold_factor` calls, and any cost up to
/// `capacity` is served.
///
/// The ramp is Sentinel's and Guava's, in whole nanoseconds and never on the generous side. The
/// worst case in any window `W` is that of a warm bucket, `capacity + refill_rate * W`. It is a type
/// of its own, since what a `TokenBucket` may start with or owe would not say here how warm it is.
/// All it does besides is written at [`AnyLimiter`], to which it dereferences; `remaining` counts
/// calls one by one.
///
/// ```
/// use limitpal::{MockClock, Rate, WarmUpBucket};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let ten = Rate::per_second(10.0)?;
/// let limiter = WarmUpBucket::builder(1, ten, Duration::from_secs(60)).clock(clock.clone()).build()?;
/// assert!(limiter.allow("ann"));
/// assert_eq!(Duration::from_millis(300), cold_or_warm(&limiter));
/// for _ in 0..500 {
///     clock.advance(cold_or_warm(&limiter));
///     assert!(limiter.allow("ann"));
/// }
/// assert_eq!(Duration::from_millis(100), cold_or_warm(&limiter));
///
/// /// Returns how long the next call has to wait, in whole milliseconds, rounded up.
/// fn cold_or_warm(limiter: &WarmUpBucket) -> Duration {
///     let wait = limiter.peek("ann").retry_after.duration().unwrap();
///     Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64)
/// }
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct WarmUpBucket {
    keyed: Arc<Keyed<SharedClock, WarmUp>>,
    any: AnyLimiter,
}

/// Builds a [`WarmUpBucket`], with the options of [`BucketBuilder`]: where they say "full" it is
/// full and cold.
pub type WarmUpBuilder = BucketBuilder<WarmUpBucket, WarmUpDraft>;

/// The numbers of a bucket that warms up.
#[derive(Clone, Copy, Debug)]
pub struct WarmUpDraft {
    capacity: u32,
    rate: Rate,
    warm_up: Duration,
    cold_factor: f64,
}

impl Draft for WarmUpDraft {
    type Algorithm = WarmUp;

    fn checked(self, _clock: &SharedClock) -> Result<WarmUp, InvalidConfig> {
        WarmUp::new(self.capacity, self.rate, self.warm_up, self.cold_factor)
    }
}

impl WarmUpBuilder {
    /// Says how many times slower a cold key is, 1.001 to 1000 in thousandths; 3 unless given.
    pub fn cold_factor(mut self, cold_factor: f64) -> Self {
        self.draft_mut().cold_factor = cold_factor;
        self
    }
}

impl WarmUpBucket {
    /// Makes one with the defaults of [`WarmUpBuilder`].
    ///
    /// # Errors
    ///
    /// A capacity of 0, a bucket that takes more than 100 years to fill, or a `warm_up` of 0 or of
    /// more than 30 days.
    pub fn new(capacity: u32, refill_rate: Rate, warm_up: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(capacity, refill_rate, warm_up).build()
    }

    /// Starts one with options.
    pub fn builder(capacity: u32, refill_rate: Rate, warm_up: Duration) -> WarmUpBuilder {
        let (rate, cold_factor) = (refill_rate, 3.0);
        BucketBuilder::of(WarmUpDraft { capacity, rate, warm_up, cold_factor })
    }

    /// Returns the burst of a warm key.
    pub fn capacity(&self) -> u32 {
        Algorithm::capacity(&self.keyed.store().bucket())
    }

    /// Returns the rate of a warm key.
    pub fn refill_rate(&self) -> Rate {
        self.keyed.store().bucket().rate()
    }

    /// Returns how long a key takes to warm up.
    pub fn warm_up(&self) -> Duration {
        self.keyed.store().bucket().warm_up()
    }

    /// Returns how many times slower a cold key is.
    pub fn cold_factor(&self) -> f64 {
        self.keyed.store().bucket().cold_factor()
    }
}

super::keyed_handle!(WarmUpBucket, WarmUp);
