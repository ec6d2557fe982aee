//! The fixed window: so many in each stretch of time.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use super::builder::WindowBuilder;
use super::change::Change;
use super::keyed::Keyed;
use super::part::Part;
use super::{AnyLimiter, sure};
use crate::algorithm::{Algorithm, Align, Carry, FixedCount};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;

/// Lets `limit` pass in each window of length `per`; each key has its own count.
///
/// Windows start at multiples of `per` on the clock, or with the first use: see [`Align`]. What
/// goes at the end of one window does not count in the next, so the worst case in any stretch of
/// length `per` is `2 * limit`. All it does besides is written at [`AnyLimiter`], to which it
/// dereferences.
///
/// ```
/// use limitpal::{FixedWindow, MockClock};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let minute = Duration::from_secs(60);
/// let limiter = FixedWindow::builder(2, minute).clock(clock.clone()).build()?;
/// clock.advance(Duration::from_secs(50));
/// assert!(limiter.allow("ann") && limiter.allow("ann"));
/// assert!(!limiter.allow("ann"));
///
/// clock.advance(Duration::from_secs(10));
/// assert!(limiter.allow("ann") && limiter.allow("ann"), "four within ten seconds");
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct FixedWindow {
    keyed: Arc<Keyed<SharedClock, FixedCount>>,
    any: AnyLimiter,
}

impl FixedWindow {
    /// Makes one with the defaults of [`WindowBuilder`].
    ///
    /// # Errors
    ///
    /// A limit of 0, or a window of no length or of more than 100 years.
    pub fn new(limit: u32, per: Duration) -> Result<Self, InvalidConfig> {
        Self::builder(limit, per).build()
    }

    /// Starts one with options.
    pub fn builder(limit: u32, per: Duration) -> WindowBuilder<Self, FixedCount> {
        WindowBuilder::windows(limit, per, FixedCount::new)
    }

    /// Returns how many go in a window.
    pub fn limit(&self) -> u32 {
        Algorithm::capacity(&self.keyed.store().bucket())
    }

    /// Returns how long a window is.
    pub fn per(&self) -> Duration {
        self.keyed.store().bucket().per()
    }

    /// Returns where windows start.
    pub fn align(&self) -> Align {
        self.keyed.store().bucket().align()
    }
}

super::keyed_handle!(FixedWindow, FixedCount);
