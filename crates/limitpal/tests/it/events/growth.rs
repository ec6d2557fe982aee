//! The warning that distinct keys grow as fast as calls.

use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, MockClock, Rate, TokenBucket};

use super::Heard;

const LOT: usize = 4096;

fn builder() -> limitpal::BucketBuilder<TokenBucket> {
    TokenBucket::builder(10, Rate::per_second(1.0).unwrap()).clock(MockClock::new())
}

fn call(limiter: &AnyLimiter, keys: impl IntoIterator<Item = usize>) {
    for key in keys {
        let _allowed = limiter.allow(&*format!("job:{key}"));
    }
}

fn told(heard: &Heard) -> usize {
    heard.words().iter().filter(|word| word.starts_with("grow")).count()
}

#[test]
fn a_key_for_each_call_is_told_of_once() {
    let limiter = builder().build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    call(&limiter, 0..LOT - 1);
    assert_eq!(0, told(&heard));
    call(&limiter, LOT - 1..LOT);
    let words = heard.words();
    assert!(words[0].starts_with("grow ") && words[0].ends_with(" of 4096"), "{words:?}");

    call(&limiter, LOT..5 * LOT);
    assert_eq!(0, told(&heard), "it goes on");
}

#[test]
fn it_is_told_again_once_it_has_stopped() {
    let limiter = builder().build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    call(&limiter, 0..LOT);
    call(&limiter, 0..LOT); // known
    call(&limiter, LOT..2 * LOT);

    assert_eq!(2, told(&heard));
}

#[test]
fn one_call_in_ten_with_a_key_that_came_before_is_enough_to_be_silent() {
    let limiter = builder().build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    // 3,686 new keys and 410 calls of one that is known.
    call(&limiter, [0]);
    call(&limiter, (1..3 * LOT).map(|n| if n % 10 == 0 { 0 } else { n }));

    assert_eq!(0, told(&heard));
}

#[test]
fn keys_that_are_remembered_are_not_new_however_many() {
    let limiter = builder().build().unwrap();
    call(&limiter, 0..3 * LOT);
    let (heard, _subscription) = Heard::of(&limiter);

    call(&limiter, 0..3 * LOT);

    assert_eq!(0, told(&heard));
}

#[test]
fn keys_that_are_forgotten_are_not_new_while_they_come_again() {
    let limiter = builder().max_buckets(1).build().unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    call(&limiter, (0..3 * LOT).map(|n| n % (LOT / 2)));

    assert_eq!(0, told(&heard));
}

#[test]
fn keys_that_mean_the_same_bucket_are_not_new() {
    let mapped = builder().key_by(|_| "tenant".to_owned()).build().unwrap();
    let shared = builder().per_key(false).build().unwrap();
    for limiter in [mapped, shared] {
        let (heard, _subscription) = Heard::of(&limiter);

        call(&limiter, 0..2 * LOT);

        assert_eq!(0, told(&heard), "{limiter:?}");
    }
}

#[test]
fn several_limiters_are_told_of_as_one() {
    let clock = MockClock::new();
    let per_job = builder().clock(&clock).build().unwrap();
    let rate = Rate::per_second(1_000_000.0).unwrap();
    let overall = TokenBucket::builder(1_000_000, rate).per_key(false).clock(&clock);
    let limiter = CompositeLimiter::new([per_job.into(), overall.build().unwrap().into()]).unwrap();
    let (heard, _subscription) = Heard::of(&limiter);

    call(&limiter, 0..LOT);
    assert_eq!(1, told(&heard));

    clock.advance(Duration::from_secs(60));
    call(&limiter, 0..LOT);
    assert_eq!(0, told(&heard));
}
