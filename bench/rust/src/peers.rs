//! How each contestant is made, in its best usual form: quotas so large that all is allowed.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota};
use leaky_bucket::RateLimiter as LeakyBucketCrate;
use limitpal::{BucketBuilder, Rate, TokenBucket};
use ratelimit::Ratelimiter;
use throttle_net::{Eviction, PerKey, Throttle};

pub(crate) const GOVERNOR: &str = "governor";
pub(crate) const THROTTLE_NET: &str = "throttle-net";
pub(crate) const LEAKY_BUCKET: &str = "leaky-bucket";
pub(crate) const RATELIMIT: &str = "ratelimit";

/// A burst and a rate, as every limiter here understands them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    burst: u32,
    count: u32,
    per: Duration,
}

/// No benchmark comes to the end of it; a bucket is full again after a microsecond.
pub(crate) const ENDLESS: Limit =
    Limit { burst: u32::MAX, count: 1_000_000, per: Duration::from_secs(1) };

/// A bucket that was used once is not full again while a benchmark lasts.
pub(crate) const SLOW: Limit = Limit { burst: 10, count: 1, per: Duration::from_secs(3600) };

/// One thousand per second, without a burst.
pub(crate) const PACED: Limit = Limit { burst: 1, count: 1_000, per: Duration::from_secs(1) };

/// One, and then none while a benchmark lasts.
pub(crate) const SPENT: Limit = Limit { burst: 1, count: 1, per: Duration::from_secs(360_000) };

impl Limit {
    /// Returns a builder of ours.
    pub(crate) fn ours(self) -> BucketBuilder<TokenBucket> {
        let rate = Rate::new(self.count, self.per).expect("a rate within our range");
        TokenBucket::builder(self.burst, rate)
    }

    pub(crate) fn limitpal(self) -> TokenBucket {
        self.ours().build().expect("a limit within our range")
    }

    pub(crate) fn limitpal_one(self) -> TokenBucket {
        self.ours().per_key(false).build().expect("a limit within our range")
    }

    fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).expect("a limit lets something through");
        let quota = Quota::with_period(self.per / self.count).expect("a period is not nothing");
        quota.allow_burst(burst)
    }

    pub(crate) fn governor(self) -> DefaultKeyedRateLimiter<String> {
        governor::RateLimiter::keyed(self.quota())
    }

    pub(crate) fn governor_one(self) -> DefaultDirectRateLimiter {
        governor::RateLimiter::direct(self.quota())
    }

    pub(crate) fn throttle_net(self, eviction: Eviction) -> PerKey<String> {
        let builder = PerKey::builder().rate(self.count, self.per).burst(self.burst);
        builder.eviction(eviction).try_build().expect("a limit within its range")
    }

    pub(crate) fn throttle_net_one(self) -> Throttle {
        let builder = Throttle::builder().rate(self.count, self.per).burst(self.burst);
        builder.try_build().expect("a limit within its range")
    }

    /// It sleeps by tokio's timer from one refill to the next: with one each millisecond, what the
    /// timer is late by halves the rate, so it gets ten milliseconds' worth at a time.
    pub(crate) fn leaky_bucket(self) -> LeakyBucketCrate {
        let (at_a_time, burst) = (self.count as usize / 100, self.burst as usize);
        let mut builder = LeakyBucketCrate::builder();
        builder.max(burst.max(at_a_time)).initial(burst);
        builder.refill(at_a_time).interval(self.per / 100).build()
    }

    pub(crate) fn ratelimit(self) -> Ratelimiter {
        let (burst, count) = (u64::from(self.burst), u64::from(self.count));
        let builder = Ratelimiter::builder(count).period(self.per);
        let builder = builder.max_tokens(burst).initial_available(burst);
        builder.build().expect("a limit within its range")
    }
}
