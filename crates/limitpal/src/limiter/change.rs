//! Changing a limiter while it is in use: limits, closed keys, and permits that come back.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use super::ask::{Ask, Cost};
use super::part::Part;
use super::quota::{Grants, Quota};
use super::{AdaptiveLimiter, AnyLimiter, FixedWindow, Kind, LeakyBucket, TokenBucket, sure};
use super::{SlidingWindowCounter, SlidingWindowLog, WarmUpBucket};
use crate::algorithm::{Carry, Limits};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;

/// A change of limits, of a whole limiter or of one key: what is not said stays as it is.
///
/// Nothing happens until [`apply`](Self::apply) is called.
///
/// ```
/// use limitpal::{Carry, MockClock, Rate, TokenBucket};
///
/// let clock = MockClock::new();
/// let limiter = TokenBucket::builder(10, Rate::per_second(5.0)?).clock(clock).build()?;
/// assert_eq!(vec![true; 5], limiter.allow_many(["ann"; 5]));
///
/// limiter.reconfigure().capacity(20).apply()?;
/// assert_eq!(10, limiter.peek("ann").remaining, "half full, as it was");
///
/// limiter.configure("bob").capacity(100).carry(Carry::Reset).apply()?;
/// assert_eq!(100, limiter.peek("bob").remaining);
///
/// assert!(limiter.reconfigure().capacity(0).apply().is_err());
/// assert_eq!(20, limiter.capacity());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[must_use = "nothing changes until `apply` is called"]
pub struct Change<'l, L> {
    part: &'l dyn Part<SharedClock>,
    key: Option<&'l str>,
    limits: Limits,
    carry: Carry,
    limiter: PhantomData<fn() -> L>,
}

impl<'l, L> Change<'l, L> {
    pub(super) fn new(part: &'l dyn Part<SharedClock>, key: Option<&'l str>) -> Self {
        let (limits, carry) = (Limits::default(), Carry::default());
        Self { part, key, limits, carry, limiter: PhantomData }
    }

    /// Says what becomes of what keys have.
    pub fn carry(mut self, carry: Carry) -> Self {
        self.carry = carry;
        self
    }

    /// Checks the limits and changes to them. No call is lost or counted twice by it: each is
    /// decided by the old limits or by the new ones.
    ///
    /// Those who wait keep their order, and go when the new limits say. Who would wait longer than
    /// its timeout now, or asked for more than can ever be had, is turned away at once with
    /// [`RateLimitExceeded`](crate::RateLimitExceeded). What was taken before gives nothing back.
    ///
    /// # Errors
    ///
    /// Limits that make no sense, as when a limiter is built: then all is as it was.
    pub fn apply(self) -> Result<(), InvalidConfig> {
        sure(self.part.change(self.key, &self.limits, self.carry))
    }
}

impl Change<'_, TokenBucket> {
    /// Changes the burst.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.limits.most = Some(capacity);
        self
    }

    /// Changes the rate in the long run.
    pub fn refill_rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }
}

impl Change<'_, LeakyBucket> {
    /// Changes the backlog up to which `allow` joins.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.limits.most = Some(capacity);
        self
    }

    /// Changes the rate at which a backlog drains.
    pub fn leak_rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }
}

impl Change<'_, WarmUpBucket> {
    /// Changes the burst of a warm key.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.limits.most = Some(capacity);
        self
    }

    /// Changes the rate of a warm key.
    pub fn refill_rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }
}

/// What else moves a rate stays as it was made. What was learned of a key stays, within the new
/// `max_rate`; its burst goes by [`Carry`].
impl Change<'_, AdaptiveLimiter> {
    /// Changes the highest rate. The lowest and the first are no higher; a first rate that was the
    /// highest stays that.
    pub fn max_rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }

    /// Changes how many may go at once.
    pub fn burst(mut self, burst: u32) -> Self {
        self.limits.most = Some(burst);
        self
    }
}

/// Writes how the limits of windows are changed.
macro_rules! windows {
    ($($window:ident),*) => {
        $(impl Change<'_, $window> {
            /// Changes how many go in a window.
            pub fn limit(mut self, limit: u32) -> Self {
                self.limits.most = Some(limit);
                self
            }

            /// Changes how long a window is.
            pub fn per(mut self, per: Duration) -> Self {
                self.limits.per = Some(per);
                self
            }
        })*
    };
}
windows!(FixedWindow, SlidingWindowCounter, SlidingWindowLog);

impl<L> fmt::Debug for Change<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, limits, carry, .. } = self;
        let mut debug = f.debug_struct("Change");
        debug.field("key", key).field("limits", limits).field("carry", carry).finish()
    }
}

/// What was taken and not used: a [`Quota`], or so many permits of a key.
#[derive(Debug)]
pub struct Unused<'k>(Back<'k>);

#[derive(Debug)]
enum Back<'k> {
    Quota(Quota),
    Permits(Ask<'k>),
}

impl From<Quota> for Unused<'_> {
    fn from(quota: Quota) -> Self {
        Self(Back::Quota(quota))
    }
}

impl<'k> From<&'k str> for Unused<'k> {
    fn from(key: &'k str) -> Self {
        Self(Back::Permits(key.into()))
    }
}

impl<'k> From<&'k String> for Unused<'k> {
    fn from(key: &'k String) -> Self {
        Self(Back::Permits(key.into()))
    }
}

impl<'k> From<(&'k str, Cost)> for Unused<'k> {
    fn from(ask: (&'k str, Cost)) -> Self {
        Self(Back::Permits(ask.into()))
    }
}

impl AnyLimiter {
    /// Gives back what was not used: at most what the bucket would hold had it never been taken,
    /// so nothing once the bucket has refilled since. Those who wait move up.
    ///
    /// Without a [`Quota`], permits of a key are those that it took last, and at most what it lacks
    /// to be as new. So [`bound`](Self::bound) holds for what was not given back; whoever gives
    /// back what was used makes that much go unseen.
    ///
    /// ```
    /// use limitpal::{Cost, MockClock, Rate, TokenBucket};
    ///
    /// let clock = MockClock::new();
    /// let limiter = TokenBucket::builder(10, Rate::per_second(1.0)?).clock(clock).build()?;
    /// assert!(limiter.allow(("ann", Cost::new(8)?)));
    ///
    /// limiter.give_back(("ann", Cost::new(3)?)); // a batch that was smaller than asked for
    /// assert_eq!(5, limiter.peek("ann").remaining);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn give_back<'k>(&self, unused: impl Into<Unused<'k>>) {
        let quota = match unused.into().0 {
            Back::Quota(quota) => quota,
            Back::Permits(ask) => return self.return_some(ask),
        };
        match (&self.0, quota.into_grants()) {
            (Kind::Keyed(keyed), Grants::One(grant)) => keyed.give_back(grant),
            (Kind::Part(part), Grants::One(grant)) => part.give_back(grant),
            (Kind::Composite(composite), Grants::Each(grants, _)) => composite.give_back(grants),
            // Quota of another limiter's is worth nothing here.
            (Kind::Keyed(_) | Kind::Part(_), Grants::Each(..))
            | (Kind::Composite(_), Grants::One(_)) => {}
        }
    }

    fn return_some(&self, ask: Ask<'_>) {
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.return_some(ask.key(), ask.cost()),
            Kind::Part(part) => part.return_some(ask.key(), ask.cost()),
            Kind::Composite(composite) => composite.return_some(ask.key(), ask.cost()),
        });
    }

    /// Closes a key for so long, for a server that said "retry after": refused a nanosecond before,
    /// admitted at it, if it could be then anyway.
    ///
    /// What a key holds goes on refilling meanwhile. A key that is closed for longer stays so. Those
    /// who wait go in their order once it is open; who would wait longer than its timeout is turned
    /// away at once. [`reset`](Self::reset) opens a key. A limiter of several closes the key in each.
    ///
    /// Returns whether it is closed: not where `max_buckets` leaves no room for a key that is new,
    /// and not in a [`FairBucket`](crate::FairBucket), of which no key has a part of its own.
    ///
    /// ```
    /// use limitpal::{MockClock, Rate, RetryAfter, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let limiter = TokenBucket::builder(10, Rate::per_second(5.0)?).clock(clock.clone()).build()?;
    /// let retry_after = Duration::from_secs(30);
    /// limiter.penalise("api", retry_after);
    /// assert_eq!(RetryAfter::After(retry_after), limiter.peek("api").retry_after);
    ///
    /// clock.advance(retry_after - Duration::from_nanos(1));
    /// assert!(!limiter.allow("api"));
    /// clock.advance(Duration::from_nanos(1));
    /// assert!(limiter.allow("api"));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn penalise(&self, key: &str, span: Duration) -> bool {
        sure(match &self.0 {
            Kind::Keyed(keyed) => keyed.penalise(key, span),
            Kind::Part(part) => part.penalise(key, span),
            Kind::Composite(composite) => composite.penalise(key, span),
        })
    }
}
