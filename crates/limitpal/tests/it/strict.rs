//! What `strict` picks never admits more than its limit in a stretch of its length.

use std::time::Duration;

use limitpal::{AnyLimiter, Instant, MockClock, SlidingWindowLog, TokenBucket, strict};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

/// Makes the log, and the bucket if there is such a burst.
fn picked(words: &str, burst: Option<u32>, clock: &MockClock) -> AnyLimiter {
    let builder = strict(words).unwrap().clock(clock);
    match burst {
        Some(burst) => builder.burst(burst).build().unwrap().into(),
        None => builder.build().unwrap().into(),
    }
}

/// Returns the most that went in any stretch of this length, both its ends included.
fn most(went: &[i64], per: i64) -> u64 {
    let within = |from: i64| went.iter().filter(|at| (from..=from + per).contains(at)).count();
    went.iter().map(|from| within(*from) as u64).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_stretch_of_the_length_admits_more_than_the_limit(
        limit in 1_u32..12,
        millis in 1_u32..20,
        burst in proptest::option::of(1_u32..12),
        asks in proptest::collection::vec((prop_oneof![Just(0_i64), 0_i64..1000, 995_i64..1002], any::<bool>()), 1..120),
    ) {
        let words = format!("{limit} per {millis} ms");
        let burst = burst.filter(|burst| *burst < limit);
        let (clock, per) = (MockClock::new(), i64::from(millis) * 1_000_000);
        let limiter = picked(&words, burst, &clock);
        prop_assert_eq!(u64::from(limit), limiter.bound(Duration::from_millis(millis.into())));

        let mut went = Vec::new();
        for (thousandths, waits) in asks {
            let at = clock.now().as_nanos() + per / 1000 * thousandths;
            clock.set_time(Instant::from_nanos(at));
            if waits {
                limiter.acquire_blocking("key").unwrap();
            }
            if waits || limiter.allow("key") {
                went.push(clock.now().as_nanos());
            }
        }

        prop_assert!(most(&went, per) <= limit.into(), "{limiter:?}: {went:?}");
    }
}

#[test]
fn it_picks_the_log_and_with_a_burst_a_bucket() {
    let log: SlidingWindowLog = strict("100/minute").unwrap().build().unwrap();
    let bucket: TokenBucket = strict("100/minute").unwrap().burst(40).build().unwrap();

    assert_eq!((100, Duration::from_nanos(60_000_000_001)), (log.limit(), log.per()));
    assert_eq!((40, 1.0), (bucket.capacity(), bucket.refill_rate().as_per_second()));
}

#[test]
fn a_full_limit_goes_again_once_no_stretch_holds_both() {
    let clock = MockClock::new();
    let limiter = picked("3/s", None, &clock);
    assert_eq!(vec![true, true, true, false], limiter.allow_many(["key"; 4]));

    clock.advance(SECOND);
    assert_eq!(Some(Duration::from_nanos(1)), limiter.check("key").retry_after.duration());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(vec![true, true, true, false], limiter.allow_many(["key"; 4]));
}

#[test]
fn options_stay_when_a_burst_is_given() {
    let clock = MockClock::new();
    let builder = strict("10/s").unwrap().clock(&clock).per_key(false).max_buckets(7);
    let limiter = builder.burst(1).build().unwrap();

    assert!(limiter.allow("ann") && !limiter.allow("bob"), "{limiter:?}");
    assert!(format!("{limiter:?}").contains("max_buckets: 7, per_key: false"), "{limiter:?}");
}

#[test]
fn a_burst_that_leaves_nothing_to_refill_is_refused() {
    let refusal = |words: &str, burst| {
        strict(words).unwrap().burst(burst).build().map(drop).unwrap_err().to_string()
    };

    let advice = "give a whole number from 1 to 99, below the limit";
    assert_eq!(format!("burst is 0; {advice}"), refusal("100/minute", 0));
    assert_eq!(format!("burst is 100; {advice}"), refusal("100/minute", 100));
    let advice = "leave it out: of a limit of 1 nothing would be left to refill";
    assert_eq!(format!("burst is 1; {advice}"), refusal("1/minute", 1));
    assert_eq!("rate", strict("often").map(drop).unwrap_err().parameter());
}
