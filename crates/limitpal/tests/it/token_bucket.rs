//! What a token bucket starts with, and what may be owed to it. The laws hold for both.

use std::time::Duration;

use limitpal::{BucketBuilder, Cost, InvalidConfig, MockClock, Rate, RetryAfter, TokenBucket};

use crate::conformance::tasks::finish;

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn one_a_second(capacity: u32) -> BucketBuilder<TokenBucket> {
    TokenBucket::builder(capacity, Rate::per_second(1.0).unwrap())
}

fn cost(cost: u64) -> Cost {
    Cost::new(cost).unwrap()
}

#[test]
fn every_key_starts_with_what_has_come_in_since_the_limiter_was_made() {
    let clock = MockClock::new();
    clock.advance(SECOND * 100);
    let limiter = one_a_second(5).initial(2).clock(&clock).build().unwrap();

    assert_eq!(vec![true, true, false], limiter.allow_many(["ann"; 3]));
    assert_eq!(SECOND * 5, limiter.peek("ann").reset_after);
    clock.advance(SECOND - NANO);
    assert_eq!((2, 0), (limiter.peek("bob").remaining, limiter.peek("ann").remaining));
    clock.advance(NANO);
    assert_eq!((3, 1), (limiter.peek("bob").remaining, limiter.peek("ann").remaining));
    clock.advance(SECOND * 2);
    assert_eq!((5, 3), (limiter.peek("bob").remaining, limiter.peek("ann").remaining));
}

#[test]
fn a_bucket_may_start_empty() {
    let clock = MockClock::new();
    for per_key in [true, false] {
        let start = clock.now();
        let builder = one_a_second(5).initial(0).per_key(per_key);
        let limiter = builder.clock(&clock).build().unwrap();

        assert_eq!(RetryAfter::After(SECOND), limiter.check("ann").retry_after);
        limiter.acquire_blocking("ann").unwrap();
        assert_eq!(start + SECOND, clock.now());
        limiter.acquire_blocking("ann").unwrap();
        assert_eq!(start + SECOND * 2, clock.now());
    }
}

#[test]
fn a_reset_and_an_eviction_give_no_burst_that_was_not_there() {
    let clock = MockClock::new();
    let limiter = one_a_second(5).initial(1).max_buckets(1).clock(&clock).build().unwrap();
    assert_eq!(vec![true, false], limiter.allow_many(["ann"; 2]));

    limiter.reset("ann");
    assert_eq!(vec![true, false], limiter.allow_many(["ann"; 2]));
    assert!(limiter.allow("bob"), "it takes the place");
    assert_eq!(vec![true, false], limiter.allow_many(["ann"; 2]));
}

#[test]
fn what_is_given_back_at_once_leaves_a_new_key_as_it_was() {
    let clock = MockClock::new();
    let limiter = one_a_second(5).initial(2).clock(&clock).build().unwrap();
    let acquire = {
        let limiter = limiter.clone();
        async move { limiter.acquire_quota("ann", None).await.unwrap() }
    };
    let quota = finish(&clock, acquire).unwrap();
    assert_eq!(1, limiter.peek("ann").remaining);

    limiter.give_back(quota);

    assert_eq!((2, false), (limiter.peek("ann").remaining, limiter.contains("ann")));
}

#[test]
fn a_call_goes_when_one_is_there_and_later_ones_pay() {
    let clock = MockClock::new();
    let limiter = one_a_second(3).debt(4).clock(&clock).build().unwrap();
    assert!(limiter.allow(("ann", cost(2))));

    assert!(limiter.allow(("ann", cost(5))), "one is there: four are owed");
    let refused = limiter.check("ann");
    assert_eq!((0, RetryAfter::After(SECOND * 5)), (refused.remaining, refused.retry_after));
    assert_eq!(0.0, limiter.tokens("ann"));
    clock.advance(SECOND * 5 - NANO);
    assert!(!limiter.allow(("ann", cost(2))), "none is there");
    clock.advance(NANO);
    assert!(!limiter.allow(("ann", cost(6))), "five would be owed");
    assert!(limiter.allow(("ann", cost(2))));
}

#[test]
fn the_highest_cost_is_capacity_and_debt() {
    let clock = MockClock::new();
    let limiter = one_a_second(3).debt(4).clock(&clock).build().unwrap();

    assert_eq!(RetryAfter::Never, limiter.peek(("ann", cost(8))).retry_after);
    assert!(limiter.allow(("ann", cost(7))));
    assert_eq!(Some(SECOND * 7), limiter.peek(("ann", cost(7))).retry_after.duration());
    limiter.acquire_blocking(("ann", cost(6))).unwrap();
    assert_eq!(SECOND * 6, clock.now().saturating_duration_since(limitpal::Instant::ZERO));
    assert_eq!(7, limiter.bound(Duration::ZERO));
}

#[test]
fn nonsense_is_refused_by_name() {
    let error = |builder: BucketBuilder<TokenBucket>| -> InvalidConfig {
        builder.build().map(drop).unwrap_err()
    };

    let above = error(one_a_second(5).initial(6)).to_string();
    assert_eq!("initial is 6; give a whole number from 0 to the capacity, 5", above);
    let above = error(one_a_second(5).debt(u32::MAX)).to_string();
    assert_eq!(
        "debt is 4294967295; lower it, so that capacity + debt is 4294967295 at most",
        above
    );
    let slow = TokenBucket::builder(1, Rate::per_second(1e-9).unwrap()).debt(4);
    assert!(error(slow).to_string().starts_with("debt is 4; lower it, so that (capacity + debt)"));
}

#[test]
fn a_snapshot_has_what_is_owed_and_who_is_not_in_it_starts_as_any_other() {
    let clock = MockClock::new();
    let old = one_a_second(5).initial(2).debt(3).clock(&clock).build().unwrap();
    clock.advance(SECOND * 9);
    assert!(old.allow(("ann", cost(8))) && old.allow("bob"));
    let snapshot = old.snapshot();

    let new = one_a_second(5).debt(3).initial(2).clock(&clock).build().unwrap();
    new.restore(&snapshot).unwrap();

    assert_eq!(Some(SECOND * 4), new.peek("ann").retry_after.duration());
    assert_eq!((4, 2), (new.peek("bob").remaining, new.peek("cid").remaining));
    let other = one_a_second(5).initial(2).clock(&clock).build().unwrap();
    assert!(other.restore(&snapshot).is_err(), "nothing may be owed there");
}
