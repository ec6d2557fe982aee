//! The strict limiter: in no stretch of time of a length more than so many.

use std::time::Duration;

use super::builder::{BucketBuilder, Draft};
use super::{SlidingWindowLog, TokenBucket};
use crate::algorithm::{Bucket, Pace, SlidingLog};
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::rate::Rate;
use crate::store::Stored;

/// Starts a limiter that in no minute ever admits more than so many, of a limit in words.
///
/// The words are those of [`Rate::parse`]: `"100/minute"`. A stretch of time counts with both of
/// its ends, so that nobody can object, whether they count `(t - 60 s, t]` or `[t - 60 s, t]`:
/// `bound` of the length is the limit. What counts is when a call is let go here. On its way to a
/// server it may catch up with the one before: leave some room for that, `"100 per 61 s"`.
///
/// It makes a [`SlidingWindowLog`] of a nanosecond more than the words say, which lets the limit go
/// whenever it can be and remembers each take: 16 bytes each, up to `16 * limit` for each key.
/// [`burst`](StrictBuilder::burst) makes it a [`TokenBucket`], of 54 bytes a key.
///
/// ```
/// use limitpal::{MockClock, strict};
/// use std::time::Duration;
///
/// let (clock, minute) = (MockClock::new(), Duration::from_secs(60));
/// let limiter = strict("100/minute")?.clock(clock.clone()).build()?;
/// assert_eq!(100, limiter.bound(minute));
/// assert_eq!(100, limiter.allow_many(["api"; 200]).iter().filter(|went| **went).count());
/// clock.advance(minute);
/// assert!(!limiter.allow("api"), "this minute has both its ends");
/// clock.advance(Duration::from_nanos(1));
/// assert!(limiter.allow("api"));
///
/// let cheap = strict("100/minute")?.burst(10).clock(clock).build()?;
/// assert_eq!((100, 10, 1.5), (cheap.bound(minute), cheap.capacity(), cheap.refill_rate().as_per_second()));
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
///
/// # Errors
///
/// Words that are no limit, with the place; a rate outside 1e-9 to 1e6 per second.
pub fn strict(rate: &str) -> Result<StrictBuilder<SlidingWindowLog, SlidingLog>, InvalidConfig> {
    let (_, limit, per) = Rate::written(rate)?;
    Ok(BucketBuilder::of(StrictDraft { limit, per, burst: 0, make: StrictDraft::log }))
}

/// Builds what [`strict`] picks, with the options of [`BucketBuilder`].
pub type StrictBuilder<L, A> = BucketBuilder<L, StrictDraft<A>>;

/// The numbers of a strict limit.
#[derive(Clone, Copy, Debug)]
pub struct StrictDraft<A> {
    limit: u32,
    per: Duration,
    burst: u32,
    make: fn(&Self) -> Result<A, InvalidConfig>,
}

impl<A: Stored> Draft for StrictDraft<A> {
    type Algorithm = A;

    fn checked(self, _clock: &SharedClock) -> Result<A, InvalidConfig> {
        (self.make)(&self)
    }
}

impl StrictDraft<SlidingLog> {
    fn log(&self) -> Result<SlidingLog, InvalidConfig> {
        SlidingLog::strict(self.limit, self.per)
    }
}

impl StrictDraft<Bucket> {
    fn bucket(&self) -> Result<Bucket, InvalidConfig> {
        let (burst, rate) = strict_burst(self.limit, self.per, self.burst)?;
        Bucket::new(burst, rate, Pace::Burst)
    }
}

/// Returns the burst and the rate of a bucket that admits at most `limit` in any `per`, for whoever
/// makes one: of the limit, what is no burst refills, `burst + rate * per = limit`.
#[doc(hidden)]
pub fn strict_burst(limit: u32, per: Duration, burst: u32) -> Result<(u32, Rate), InvalidConfig> {
    if burst == 0 || burst >= limit {
        let advice = match limit {
            1 => "leave it out: of a limit of 1 nothing would be left to refill".to_owned(),
            _ => format!("give a whole number from 1 to {}, below the limit", limit - 1),
        };
        return Err(InvalidConfig::new("burst", burst, advice));
    }
    Ok((burst, Rate::new(limit - burst, per)?))
}

impl StrictBuilder<SlidingWindowLog, SlidingLog> {
    /// Makes it a token bucket of this burst, 1 to the limit less 1: it holds the burst, and what
    /// is left of the limit comes in evenly over the time of the words.
    ///
    /// It is strict as well, and small; who asks evenly gets no more than that rate, though.
    /// `burst` of 1 is the most even, half of the limit the middle way.
    pub fn burst(self, burst: u32) -> StrictBuilder<TokenBucket, Bucket> {
        self.redrafted(|StrictDraft { limit, per, .. }| StrictDraft {
            limit,
            per,
            burst,
            make: StrictDraft::bucket,
        })
    }
}
