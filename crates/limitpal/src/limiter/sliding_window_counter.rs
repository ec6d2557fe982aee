//! The sliding window that is estimated from two counts.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::builder::WindowBuilder;
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{Algorithm, Carry, SlidingCount};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;

/// Lets about `limit` pass in any window of length `per`, in a few bytes; each key has its own
/// counts.
///
/// It counts in windows of the clock, and takes it that what went in the one before went evenly:
/// `before * (1 - x) + count + cost <= limit`, where `x` is the share of the present window that is
/// over. Where it did not go evenly, the worst case in any stretch of length `per` is
/// `2 * limit - 1`; for a promise there is [`SlidingWindowLog`](crate::SlidingWindowLog). All it
/// does besides is written at [`AnyLimiter`], to which it dereferences.
///
/// ```
/// use limitpal::{MockClock, SlidingWindowCounter};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let minute = Duration::from_secs(60);
/// let limiter = SlidingWindowCounter::builder(4, minute).clock(clock.clone()).build()?;
/// assert_eq!(vec![true; 4], limiter.allow_many(["ann"; 4]));
///
/// clock.advance(Duration::from_secs(75));
/// assert_eq!(1, limiter.peek("ann").remaining, "three quarters of the four still count");
/// clock.advance(Duration::from_secs(15));
/// assert_eq!(2, limiter.peek("ann").remaining);
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct SlidingWindowCounter {
    keyed: Arc<Keyed<SharedClock, SlidingCount>>,
    any: AnyLimiter,
}

impl SlidingWindowCounter {
    /// Makes one with the defaults of [`WindowBuilder`].
    ///
    /// # Errors
    ///
    /// A limit of 0, or a window of no length or of more than 100 years.
    pub fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(limit, per).build()
    }

    /// Starts one with options.
    pub fn builder(limit: u32, per: Duration) -> WindowBuilder<Self, SlidingCount> {
        WindowBuilder::windows(limit, per, |limit, per, _| SlidingCount::new(limit, per))
    }

    /// Returns how many go in a window.
    pub fn limit(&self) -> u32 {
        Algorithm::capacity(&self.keyed.store().bucket())
    }

    /// Returns how long a window is.
    pub fn per(&self) -> Duration {
        self.keyed.store().bucket().per()
    }
}

super::keyed_handle!(SlidingWindowCounter, SlidingCount);
