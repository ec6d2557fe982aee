//! The fair bucket: one limit for all, of which every active key has its share.

mod keyed;

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use self::keyed::FairKeyed;
use super::keys::KeyBy;
use super::part::Part;
use super::{AnyLimiter, Kind, sure};
use crate::algorithm::{Bucket, Pace};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// One token bucket for everybody, which no key can empty for the others.
///
/// Of `n` active keys each has a share, `refill_rate / n` with a burst of `capacity / n`, that
/// nobody else can take. What others do not use is there for whoever asks: a key that is alone has
/// it all. A key is active for as long as [`active_for`](FairBucketBuilder::active_for) says after
/// it has asked.
///
/// - `allow` goes within the share if the bucket has room, and beyond it while that leaves the
///   others' shares of the capacity untouched, or when the bucket is full.
/// - Those who wait go in max-min fair order: the first of the key that has been served least.
///   Within a key they go in the order in which they came. A wait may become longer when other
///   keys come, so one with a timeout may be refused when its time is over, and not at once.
/// - Over any time a key that asks gets at least `min(demand, limit / n)`, less one burst of
///   `capacity / n`; all together never get more than [`bound`](AnyLimiter::bound) says, which is
///   that of one bucket.
///
/// A cost above `capacity / n` goes once, and then not before its share has paid for it, or the
/// bucket is full: give a capacity of several times the number of keys.
///
/// All it does besides is written at [`AnyLimiter`], to which it dereferences;
/// `reset` of one key forgets what that key has had of its share. A future that has been polled
/// and is neither polled on nor dropped holds up those who wait behind it.
///
/// ```
/// use limitpal::{FairBucket, MockClock, Rate};
/// use std::time::Duration;
///
/// let clock = MockClock::new();
/// let limiter = FairBucket::builder(10, Rate::per_second(10.0)?).clock(clock.clone()).build()?;
/// assert!(limiter.allow("quiet"));
/// let hot = (0..100).filter(|_| limiter.allow("hot")).count();
/// assert_eq!(5, hot, "half of the burst is the other's");
/// assert!(limiter.allow("quiet"));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone)]
pub struct FairBucket {
    keyed: Arc<FairKeyed<SharedClock>>,
    any: AnyLimiter,
}

impl FairBucket {
    /// Makes one with the defaults of [`FairBucketBuilder`].
    ///
    /// # Errors
    ///
    /// A capacity of 0, or a bucket that takes more than 100 years to fill.
    pub fn new(capacity: u32, refill_rate: Rate) -> Result<Self, InvalidConfig> {
        Self::builder(capacity, refill_rate).build()
    }

    /// Starts one with options.
    pub fn builder(capacity: u32, refill_rate: Rate) -> FairBucketBuilder {
        let clock = SharedClock::default();
        FairBucketBuilder { capacity, refill_rate, clock, active_for: None, key_by: None }
    }

    /// Returns the burst of all together.
    pub fn capacity(&self) -> u32 {
        self.keyed.shares().bucket().capacity()
    }

    /// Returns the rate of all together.
    pub fn refill_rate(&self) -> Rate {
        self.keyed.shares().bucket().rate()
    }

    /// Returns for how long a key has a share once it has asked.
    pub fn active_for(&self) -> Duration {
        self.keyed.shares().active_for()
    }

    /// Returns the tokens that the whole bucket has now, in fractions; what a key could take of
    /// them, [`peek`](AnyLimiter::peek) says.
    pub fn tokens(&self) -> f64 {
        sure(self.keyed.tokens())
    }

    /// Returns whether a key is active.
    pub fn contains(&self, key: &str) -> bool {
        sure(self.keyed.contains(key))
    }

    /// Returns how many keys are active, the `n` of which each has a share.
    pub fn len(&self) -> usize {
        sure(self.keyed.remembered())
    }

    /// Returns whether no key is active.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<FairBucket> for AnyLimiter {
    fn from(limiter: FairBucket) -> Self {
        limiter.any
    }
}

impl Deref for FairBucket {
    type Target = AnyLimiter;

    fn deref(&self) -> &AnyLimiter {
        &self.any
    }
}

impl fmt::Debug for FairBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.any.fmt(f)
    }
}

/// Builds a [`FairBucket`].
///
/// Defaults: the monotonic clock; a key is active for as long as the bucket takes to fill, and a
/// minute at least.
#[must_use = "a builder makes nothing until `build` is called"]
pub struct FairBucketBuilder {
    capacity: u32,
    refill_rate: Rate,
    clock: SharedClock,
    active_for: Option<Duration>,
    key_by: Option<KeyBy<Infallible>>,
}

impl FairBucketBuilder {
    /// Reads this clock and sleeps by it.
    pub fn clock(mut self, clock: impl Into<SharedClock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Keeps a key's share for so long after it has asked: longer protects those who ask seldom,
    /// shorter leaves more of the burst to those who ask often. About 90 bytes are kept for each
    /// active key.
    pub fn active_for(mut self, active_for: Duration) -> Self {
        self.active_for = Some(active_for);
        self
    }

    /// Maps the caller's key to the one that has a share: a user to its tenant, say.
    pub fn key_by(mut self, map: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.key_by = Some(Arc::new(move |key| Ok(map(key))));
        self
    }

    /// Checks the options and makes the limiter.
    ///
    /// # Errors
    ///
    /// A capacity of 0; a bucket that takes more than 100 years to fill; an `active_for` of 0 or
    /// above 100 years.
    pub fn build(self) -> Result<FairBucket, InvalidConfig> {
        let bucket = Bucket::new(self.capacity, self.refill_rate, Pace::Burst)?;
        let keyed = FairKeyed::new(bucket, self.active_for, self.key_by, self.clock)?;
        let keyed = Arc::new(keyed);
        let part: Arc<dyn Part<SharedClock>> = keyed.clone();
        Ok(FairBucket { keyed, any: AnyLimiter(Kind::Part(part)) })
    }
}

impl fmt::Debug for FairBucketBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FairBucketBuilder")
            .field("capacity", &self.capacity)
            .field("refill_rate", &self.refill_rate)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
