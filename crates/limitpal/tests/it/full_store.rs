//! A store in which somebody waits for every bucket: there is no room for another key.

use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, Decision, LeakyBucket, MockClock, Rate, RetryAfter, TokenBucket,
};

use crate::conformance::tasks::{Tasks, finish};

/// A limiter of one bucket, on a clock, and the one who waits for it.
struct Full {
    clock: MockClock,
    limiter: AnyLimiter,
    waiter: Tasks<bool>,
}

impl Full {
    fn new(make: impl Fn(&MockClock) -> AnyLimiter) -> Self {
        let clock = MockClock::new();
        let limiter = make(&clock);
        assert!(limiter.allow("a"));
        let mut waiter = Tasks::new();
        let own = limiter.clone();
        waiter.spawn("waiter", async move { own.acquire("a").await.is_ok() });
        waiter.settle(|_, _| panic!("there was nothing to wait for"));
        Self { clock, limiter, waiter }
    }

    fn each() -> [Self; 2] {
        let rate = Rate::per_second(1.0).unwrap();
        [
            Self::new(|clock| {
                let builder = TokenBucket::builder(1, rate).clock(clock).max_buckets(1);
                builder.build().unwrap().into()
            }),
            Self::new(|clock| {
                let builder = LeakyBucket::builder(1, rate).clock(clock).max_buckets(1);
                builder.build().unwrap().into()
            }),
        ]
    }

    /// The limiter, and the limiter in a composite.
    fn ways(&self) -> [AnyLimiter; 2] {
        let composite = CompositeLimiter::new([self.limiter.clone()]).unwrap();
        [self.limiter.clone(), composite.into()]
    }

    /// Lets the one who waits go.
    fn leave(mut self) {
        let mut went = None;
        let until = self.clock.now() + Duration::from_secs(1);
        self.waiter.pass(&self.clock, until, |_, answer| went = Some(answer));
        assert_eq!(Some(true), went);
    }
}

/// The composite took the missing room for a race lost to another thread, and tried for ever.
#[test]
fn with_every_bucket_awaited_an_acquire_is_refused_at_once() {
    for full in Full::each() {
        for limiter in full.ways() {
            for timeout in [Duration::ZERO, Duration::from_secs(60)] {
                let own = limiter.clone();
                let refused =
                    finish(&full.clock, async move { own.acquire_timeout("b", timeout).await });
                let blocking = limiter.acquire_timeout_blocking("b", timeout);

                assert_eq!(RetryAfter::Unknown, refused.unwrap().unwrap_err().retry_after());
                assert_eq!(RetryAfter::Unknown, blocking.unwrap_err().retry_after());
            }
            assert_eq!(
                RetryAfter::Unknown,
                limiter.acquire_blocking("b").unwrap_err().retry_after()
            );
        }
        full.leave();
    }
}

/// `peek` saw a bucket as new where `check` found no room for one.
#[test]
fn with_every_bucket_awaited_peek_says_what_check_says() {
    for full in Full::each() {
        for limiter in full.ways() {
            let peeked = limiter.peek("b");

            let Decision { allowed, remaining, retry_after, .. } = peeked;
            assert_eq!((false, 0, RetryAfter::Unknown), (allowed, remaining, retry_after));
            assert_eq!(peeked, limiter.check("b"));
            assert!(!limiter.allow("b"));
        }
        full.leave();
    }
}

#[test]
fn once_nobody_waits_a_newcomer_has_room() {
    for full in Full::each() {
        let [limiter, composite] = full.ways();
        full.leave();

        assert!(composite.peek("b").allowed);
        assert!(composite.allow("b"));
        assert!(!limiter.allow("b"));
    }
}
