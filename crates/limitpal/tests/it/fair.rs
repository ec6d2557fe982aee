//! A bucket that is shared: nobody is pushed below its share, and nothing is left unused.

mod laws;
mod waiting;

use std::time::Duration;

use limitpal::{Cost, FairBucket, MockClock, Rate, RetryAfter};

fn limiter(capacity: u32, rate: f64, clock: &MockClock) -> FairBucket {
    let builder = FairBucket::builder(capacity, Rate::per_second(rate).unwrap());
    builder.clock(clock.clone()).build().unwrap()
}

fn cost(cost: u64) -> Cost {
    Cost::new(cost).unwrap()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns how often a key is let in at once.
fn burst(limiter: &FairBucket, key: &str) -> usize {
    (0..1000).take_while(|_| limiter.allow(key)).count()
}

#[test]
fn who_is_alone_has_it_all() {
    let clock = MockClock::new();
    let limiter = limiter(10, 10.0, &clock);

    assert_eq!(10, burst(&limiter, "hot"));
    clock.advance(millis(300));
    assert_eq!(3, burst(&limiter, "hot"));
}

#[test]
fn a_hot_key_leaves_the_others_their_share_of_the_burst() {
    let clock = MockClock::new();
    let limiter = limiter(12, 12.0, &clock);
    assert!(limiter.allow("ann") && limiter.allow("bob"));

    assert_eq!(4, burst(&limiter, "hot"), "of three keys each has four");
    assert_eq!(3, burst(&limiter, "ann"));
    assert_eq!(3, burst(&limiter, "bob"));
    assert_eq!(0.0, limiter.tokens());
}

#[test]
fn what_others_do_not_use_is_there_for_who_asks() {
    let clock = MockClock::new();
    let limiter = limiter(10, 10.0, &clock);
    assert!(limiter.allow("quiet"));
    assert_eq!(5, burst(&limiter, "hot"));

    let mut admitted = 0;
    for _ in 0..100 {
        clock.advance(millis(100));
        admitted += burst(&limiter, "hot");
    }

    assert!((98..=100).contains(&admitted), "all the rate is the hot key's: {admitted}");
    assert_eq!(5, burst(&limiter, "quiet"), "and the other's share was kept");
}

#[test]
fn a_key_has_a_share_for_as_long_as_it_is_active() {
    let clock = MockClock::new();
    let rate = Rate::per_second(10.0).unwrap();
    let builder = FairBucket::builder(10, rate).clock(clock.clone());
    let limiter = builder.active_for(Duration::from_secs(5)).build().unwrap();
    assert!(limiter.allow("gone"));

    clock.advance(Duration::from_secs(5) - Duration::from_nanos(1));
    assert_eq!(5, burst(&limiter, "hot"));
    assert_eq!(2, limiter.len());
    clock.advance(Duration::from_secs(1));
    assert_eq!(10, burst(&limiter, "hot"), "its share is free once it is forgotten");
    assert_eq!((1, false), (limiter.len(), limiter.contains("gone")));
}

#[test]
fn refusals_say_when_to_come_back_to_the_nanosecond() {
    let clock = MockClock::new();
    let limiter = limiter(10, 3.0, &clock);
    assert!(limiter.allow("quiet"));
    burst(&limiter, "hot");

    for _ in 0..20 {
        let refused = limiter.check("hot");
        let RetryAfter::After(wait) = refused.retry_after else { panic!("{refused:?}") };
        assert_eq!(0, refused.remaining);

        clock.advance(wait - Duration::from_nanos(1));
        assert!(!limiter.peek("hot").allowed);
        clock.advance(Duration::from_nanos(1));
        assert_eq!((true, 1), (limiter.peek("hot").allowed, limiter.peek("hot").remaining));
        assert!(limiter.allow("hot"));
    }
    assert_eq!(RetryAfter::Never, limiter.check(("hot", cost(11))).retry_after);
}

#[test]
fn what_remains_is_what_the_key_can_take() {
    let clock = MockClock::new();
    let limiter = limiter(12, 12.0, &clock);
    for key in ["ann", "bob", "eve"] {
        limiter.allow(key);
    }

    for key in ["ann", "bob", "eve"] {
        let remaining = limiter.peek(key).remaining;
        assert_eq!(remaining as usize, burst(&limiter, key), "{key}");
    }
}

#[test]
fn a_cost_above_the_share_goes_when_the_bucket_is_full() {
    let clock = MockClock::new();
    let limiter = limiter(10, 10.0, &clock);
    for key in ["a", "b", "c", "d"] {
        assert!(limiter.allow(key));
    }

    assert!(!limiter.allow(("large", cost(8))));
    clock.advance(millis(400));
    assert!(limiter.allow(("large", cost(8))));
    assert_eq!(2.0, limiter.tokens());
}

#[test]
fn more_keys_than_permits_share_the_rate() {
    let clock = MockClock::new();
    let limiter = limiter(4, 100.0, &clock);
    let mut admitted = [0; 20];

    for round in 0..20_000 {
        clock.advance(Duration::from_micros(500));
        // The first key asks each time, the others in turn.
        for key in [0, 1 + round % 19] {
            admitted[key] += usize::from(limiter.allow(&*key.to_string()));
        }
    }

    let all: usize = admitted.iter().sum();
    assert!((950..=1004).contains(&all), "{all}");
    let least = admitted.iter().min().unwrap();
    assert!(*least >= 45, "each has a twentieth of a thousand: {admitted:?}");
}

#[test]
fn giving_back_returns_what_was_taken() {
    let clock = MockClock::new();
    let limiter = limiter(4, 1.0, &clock);
    assert!(limiter.allow("other"));
    let quota = limiter.acquire_quota_blocking(("k", cost(2)), Some(Duration::ZERO)).unwrap();
    assert!(!limiter.allow("k"));

    limiter.give_back(quota);

    assert_eq!(3.0, limiter.tokens());
    assert_eq!(2, burst(&limiter, "k"));
    let quota = limiter.acquire_quota_blocking("other", Some(Duration::ZERO)).unwrap();
    limiter.reset_all();
    assert!(limiter.allow(("k", cost(4))));
    limiter.give_back(quota);
    assert_eq!(0.0, limiter.tokens(), "what was taken before a reset gives nothing back");
}

#[test]
fn giving_back_what_was_borrowed_adds_nothing_to_the_share() {
    let clock = MockClock::new();
    let limiter = limiter(10, 10.0, &clock);
    limiter.allow("quiet");
    clock.advance(millis(100));
    assert_eq!(5, burst(&limiter, "hot"));

    clock.advance(millis(100));
    for _ in 0..20 {
        let borrowed = limiter.acquire_quota_blocking("hot", Some(Duration::ZERO)).unwrap();
        limiter.give_back(borrowed);
    }
    assert_eq!(1, burst(&limiter, "hot"));
    assert_eq!(5, burst(&limiter, "quiet"));
}

#[test]
fn nonsense_is_refused() {
    let rate = Rate::per_second(1.0).unwrap();
    assert_eq!("capacity", FairBucket::new(0, rate).unwrap_err().parameter());
    let never = FairBucket::builder(1, rate).active_for(Duration::ZERO).build().unwrap_err();
    assert_eq!("active_for", never.parameter());
}
