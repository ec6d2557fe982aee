//! The options of a keyed limiter, checked when it is built.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::keyed::{Keyed, KeyedOptions};
use super::{LeakyBucket, TokenBucket};
use crate::algorithm::{Align, Bucket, FixedCount, Limits, Pace};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;
use crate::store::{Evict, Stored};

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
pub struct BucketBuilder<L, D = BucketDraft> {
    pub(super) draft: D,
    clock: SharedClock,
    options: KeyedOptions<Infallible>,
    limiter: PhantomData<fn() -> L>,
}

/// Builds a [`FixedWindow`](crate::FixedWindow), a
/// [`SlidingWindowCounter`](crate::SlidingWindowCounter) or a
/// [`SlidingWindowLog`](crate::SlidingWindowLog), with the options of [`BucketBuilder`]: where they
/// say "bucket", it is what is remembered of a key, and "full" is as new.
pub type WindowBuilder<L, A> = BucketBuilder<L, WindowDraft<A>>;

/// The numbers that a user gave, not yet checked.
pub trait Draft: fmt::Debug {
    /// What they are the settings of.
    type Algorithm: Stored;

    /// Checks the numbers.
    ///
    /// # Errors
    ///
    /// A number that makes no sense.
    fn checked(self, clock: &SharedClock) -> Result<Self::Algorithm, InvalidConfig>;
}

/// The numbers of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct BucketDraft {
    capacity: u32,
    /// What the user knows the capacity by.
    capacity_name: &'static str,
    rate: Rate,
    pace: Pace,
    debt: u32,
    initial: Option<u32>,
}

impl Draft for BucketDraft {
    type Algorithm = Bucket;

    fn checked(self, clock: &SharedClock) -> Result<Bucket, InvalidConfig> {
        let named = |error: InvalidConfig| match error.parameter() {
            "capacity" => error.about(self.capacity_name),
            _ => error,
        };
        let bucket = Bucket::new(self.capacity, self.rate, self.pace).map_err(named)?;
        let bucket = bucket.with_debt(self.debt)?;
        self.initial.map_or(Ok(bucket), |initial| bucket.with_initial(initial, clock.now()))
    }
}

/// The numbers of windows.
#[derive(Clone, Copy, Debug)]
pub struct WindowDraft<A> {
    limit: u32,
    per: Duration,
    align: Align,
    make: MakeWindow<A>,
}

/// Checks a limit, a length and where windows start.
type MakeWindow<A> = fn(u32, Duration, Align) -> Result<A, InvalidConfig>;

impl<A: Stored> Draft for WindowDraft<A> {
    type Algorithm = A;

    fn checked(self, _clock: &SharedClock) -> Result<A, InvalidConfig> {
        (self.make)(self.limit, self.per, self.align)
    }
}

impl<L> BucketBuilder<L> {
    pub(super) fn new(capacity: u32, rate: Rate, pace: Pace) -> Self {
        let capacity_name = "capacity";
        Self::of(BucketDraft { capacity, capacity_name, rate, pace, debt: 0, initial: None })
    }

    /// Starts one from a limit in words, whose count is the capacity.
    pub(super) fn per(rate: &str, pace: Pace) -> Result<Self, InvalidConfig> {
        let (rate, count, _) = Rate::written(rate)?;
        Ok(Self::new(count, rate, pace))
    }
}

impl<L, A> WindowBuilder<L, A> {
    pub(super) fn windows(limit: u32, per: Duration, make: MakeWindow<A>) -> Self {
        Self::of(WindowDraft { limit, per, align: Align::default(), make })
    }
}

impl<L> WindowBuilder<L, FixedCount> {
    /// Says where windows start; without it at multiples of their length on the clock.
    pub fn align(mut self, align: Align) -> Self {
        self.draft.align = align;
        self
    }
}

impl<L, D> BucketBuilder<L, D> {
    pub(super) fn of(draft: D) -> Self {
        let (clock, options) = (SharedClock::default(), KeyedOptions::default());
        Self { draft, clock, options, limiter: PhantomData }
    }

    pub(super) fn draft_mut(&mut self) -> &mut D {
        &mut self.draft
    }

    /// Makes of the numbers those of another limiter; the options stay.
    pub(super) fn redrafted<L2, D2>(self, redraft: impl FnOnce(D) -> D2) -> BucketBuilder<L2, D2> {
        let Self { draft, clock, options, limiter: _ } = self;
        BucketBuilder { draft: redraft(draft), clock, options, limiter: PhantomData }
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
    /// least recently used first; where all are in use, [`evict`](Self::evict) says what then.
    pub fn max_buckets(mut self, max_buckets: usize) -> Self {
        self.options.store.max_buckets = Some(max_buckets);
        self
    }

    /// Says what becomes of a newcomer where all of `max_buckets` are in use; without it, it takes
    /// the place of the one nearest to full.
    ///
    /// ```
    /// use limitpal::{Evict, MockClock, Rate, TokenBucket};
    ///
    /// let builder = TokenBucket::builder(1, Rate::per_second(1.0)?).clock(MockClock::new());
    /// let limiter = builder.max_buckets(2).evict(Evict::RefuseNew).build()?;
    /// assert_eq!(vec![true, true, false], limiter.allow_many(["ann", "bob", "cid"]));
    /// assert_eq!(1, limiter.refused_new());
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn evict(mut self, evict: Evict) -> Self {
        self.options.store.evict = evict;
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

    /// Gives keys limits of their own: the function is asked when a key is new, outside of any lock,
    /// and again once the key has been forgotten; `None` is for the limits of all. What
    /// [`configure`](crate::TokenBucket::configure) says goes before.
    ///
    /// ```
    /// use limitpal::{Limits, Rate, TokenBucket};
    ///
    /// let gold = Limits::bucket(100, Rate::per_second(50.0)?)?;
    /// let limiter = TokenBucket::builder(10, Rate::per_second(5.0)?)
    ///     .quota(move |key| key.starts_with("gold:").then_some(gold))
    ///     .build()?;
    /// assert_eq!((100, 10), (limiter.peek("gold:7").limit, limiter.peek("tin:7").limit));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn quota(mut self, quota: impl Fn(&str) -> Option<Limits> + Send + Sync + 'static) -> Self {
        self.options.quota = Some(Arc::new(move |key| Ok(quota(key))));
        self
    }

    /// Checks the options and makes the limiter.
    ///
    /// # Errors
    ///
    /// A capacity, burst or limit of 0; a bucket that takes more than 100 years to fill; a window or a
    /// `ttl` of 0 or above 100 years; a `max_buckets` or `cleanup_interval` of 0; an `initial`
    /// above the capacity, or a `debt` with which the capacity is more than 2^32-1 or fills in more
    /// than 100 years; a `quota` beside `per_key(false)`.
    pub fn build(self) -> Result<L, InvalidConfig>
    where
        D: Draft,
        L: From<Arc<Keyed<SharedClock, D::Algorithm>>>,
    {
        let bucket = self.draft.checked(&self.clock)?;
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
        (self.draft.capacity, self.draft.capacity_name) = (burst, "burst");
        self
    }

    /// Has so many permits in each bucket when the limiter is made, 0 to the capacity; without it
    /// all of them.
    ///
    /// It is counted from then on for every key: one that is first seen later has what has come in
    /// since, and once a bucket can be full it starts full. So a program that starts again and
    /// again hands out no burst each time, and to be forgotten neither helps nor harms.
    ///
    /// ```
    /// use limitpal::{MockClock, Rate, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let builder = TokenBucket::builder(10, Rate::per_second(1.0)?).initial(2);
    /// let limiter = builder.clock(clock.clone()).build()?;
    /// assert_eq!(2.0, limiter.tokens("ann"));
    ///
    /// clock.advance(Duration::from_secs(3));
    /// assert_eq!([5.0, 5.0], [limiter.tokens("ann"), limiter.tokens("bob, who is new")]);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn initial(mut self, permits: u32) -> Self {
        self.draft.initial = Some(permits);
        self
    }

    /// Lets a call that costs several permits go as soon as one is there, and owe the others, up
    /// to so many; those that come later wait until that is paid. 0 unless given.
    ///
    /// So a call goes if one whole permit is there, and the bucket is then no more than `debt`
    /// below empty. A cost of up to `capacity + debt` can be served. A call for one permit never
    /// overdraws. The worst case in any window `W` is `capacity + debt + refill_rate * W`.
    ///
    /// ```
    /// use limitpal::{Cost, MockClock, Rate, TokenBucket};
    /// use std::time::Duration;
    ///
    /// let clock = MockClock::new();
    /// let builder = TokenBucket::builder(10, Rate::per_second(1.0)?).debt(5);
    /// let limiter = builder.clock(clock.clone()).build()?;
    /// assert!(limiter.allow(("ann", Cost::new(14)?)), "four of them are owed");
    /// assert_eq!(Some(Duration::from_secs(5)), limiter.check("ann").retry_after.duration());
    ///
    /// clock.advance(Duration::from_secs(5));
    /// assert!(limiter.allow(("ann", Cost::new(6)?)), "one is there");
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn debt(mut self, permits: u32) -> Self {
        self.draft.debt = permits;
        self
    }
}

impl BucketBuilder<LeakyBucket> {
    /// Lets `allow` join up to this backlog, whatever the words counted.
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.draft.capacity = capacity;
        self
    }
}

impl<L, D: fmt::Debug> fmt::Debug for BucketBuilder<L, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketBuilder")
            .field("draft", &self.draft)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
