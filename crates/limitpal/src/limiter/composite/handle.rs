//! What a user holds of several limiters that are one.

use std::fmt;
use std::ops::Deref;

use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::limiter::{AnyLimiter, Parts, TokenBucket};

/// Several limiters as one: a call goes if all of them let it.
///
/// A refusal leaves every part as it was. One who waits holds a place only in the part with the
/// longest wait, and takes from all at the instant it goes.
///
/// A [`ConcurrencyLimiter`](crate::ConcurrencyLimiter), whose permit is held while the work lasts,
/// is joined with others by a [`HoldingLimiter`](crate::HoldingLimiter).
///
/// ```
/// use limitpal::{CompositeLimiter, MockClock, Rate, TokenBucket};
///
/// let clock = MockClock::new();
/// let rate = Rate::per_second(1.0)?;
/// let per_user = TokenBucket::builder(2, rate).clock(clock.clone()).build()?;
/// let overall = TokenBucket::builder(3, rate).clock(clock).per_key(false).build()?;
/// let limiter = CompositeLimiter::new([per_user.clone().into(), overall.into()])?;
///
/// assert!(limiter.allow("ann") && limiter.allow("ann"));
/// assert!(!limiter.allow("ann"), "her own two are gone");
/// assert!(limiter.allow("bob"));
/// assert!(!limiter.allow("bob"), "the three for everybody are gone");
/// assert_eq!(1.0, per_user.tokens("bob"), "and nothing of his own was taken");
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct CompositeLimiter {
    any: AnyLimiter,
}

impl CompositeLimiter {
    /// Joins limiters; a composite among them counts as its parts.
    ///
    /// Its own clock is the one its parts share, else the monotonic one.
    ///
    /// # Errors
    ///
    /// No limiter at all, or the same one twice.
    pub fn new(limiters: impl IntoIterator<Item = AnyLimiter>) -> Result<Self, InvalidConfig> {
        Ok(Self { any: Parts::of(limiters).join()? })
    }

    /// Joins limits in words, as [`Rate::parse`](crate::Rate::parse) reads them: for each a token
    /// bucket whose burst is the count.
    ///
    /// ```
    /// use limitpal::CompositeLimiter;
    /// use std::time::Duration;
    ///
    /// let limiter = CompositeLimiter::of(["10/second", "500/hour"])?;
    /// assert_eq!(20, limiter.bound(Duration::from_secs(1)));
    /// assert_eq!(1000, limiter.bound(Duration::from_secs(3600)));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No limit at all; words that are none; a rate outside 1e-9 to 1e6 per second.
    pub fn of<W: AsRef<str>>(rates: impl IntoIterator<Item = W>) -> Result<Self, InvalidConfig> {
        Self::of_with_clock(rates, SharedClock::default())
    }

    /// As [`of`](Self::of), all of them on this clock.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub fn of_with_clock<W: AsRef<str>>(
        rates: impl IntoIterator<Item = W>,
        clock: impl Into<SharedClock>,
    ) -> Result<Self, InvalidConfig> {
        let clock = clock.into();
        let part = |rate: W| {
            let bucket = TokenBucket::per(rate.as_ref())?.clock(clock.clone()).build()?;
            Ok(AnyLimiter::from(bucket))
        };
        let parts = rates.into_iter().map(part).collect::<Result<Vec<_>, InvalidConfig>>()?;
        if parts.is_empty() {
            let advice = "give at least one limit, such as \"10/second\"";
            return Err(InvalidConfig::new("rates", "empty", advice));
        }
        Self::new(parts)
    }
}

impl Deref for CompositeLimiter {
    type Target = AnyLimiter;

    fn deref(&self) -> &AnyLimiter {
        &self.any
    }
}

impl From<CompositeLimiter> for AnyLimiter {
    fn from(limiter: CompositeLimiter) -> Self {
        limiter.any
    }
}

impl fmt::Debug for CompositeLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}
