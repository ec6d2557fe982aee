//! The sliding window that is exact, since it remembers each take.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::builder::WindowBuilder;
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{Algorithm, Carry, SlidingLog};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;

/// Lets `limit` pass in any window of length `per`, and never more; each key has its own log.
///
/// That is the price: 16 bytes for each take of the last `per`, so up to `16 * limit` for each key,
/// and who is the first to wait for a key copies its log. A take costs the same however long the
/// log is. All it does besides is written at [`AnyLimiter`], to which it dereferences.
///
/// ```
/// use limitpal::{MockClock, RetryAfter, SlidingWindowLog};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let minute = Duration::from_secs(60);
/// let limiter = SlidingWindowLog::builder(2, minute).clock(clock.clone()).build()?;
/// assert!(limiter.allow("ann"));
/// clock.advance(Duration::from_secs(50));
/// assert!(limiter.allow("ann"));
/// assert!(!limiter.allow("ann"));
///
/// clock.advance(Duration::from_secs(10));
/// assert!(limiter.allow("ann"), "the first is a minute ago");
/// let answer = limiter.check("ann");
/// assert_eq!(RetryAfter::After(Duration::from_secs(50)), answer.retry_after);
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct SlidingWindowLog {
    keyed: Arc<Keyed<SharedClock, SlidingLog>>,
    any: AnyLimiter,
}

impl SlidingWindowLog {
    /// Makes one with the defaults of [`WindowBuilder`].
    ///
    /// # Errors
    ///
    /// A limit of 0, or a window of no length or of more than 100 years.
    pub fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(limit, per).build()
    }

    /// Starts one with options.
    pub fn builder(limit: u32, per: Duration) -> WindowBuilder<Self, SlidingLog> {
        WindowBuilder::windows(limit, per, |limit, per, _| SlidingLog::new(limit, per))
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

super::keyed_handle!(SlidingWindowLog, SlidingLog);
