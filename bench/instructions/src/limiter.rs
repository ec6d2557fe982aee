//! The paths through a limiter.
//!
//! Time stands still: reading a mock clock costs the same on every machine, which the machine's own
//! does not. A bucket holds so much that only the path of a refusal is refused.

use std::hint::black_box;
use std::time::Duration;

use limitpal::{InvalidConfig, MockClock, Rate, TokenBucket};

use crate::ready;
use crate::repeat::repeat;

/// More than anybody takes here.
const PLENTY: u32 = 1_000_000_000;
/// How many buckets there are when a flood of new keys comes, and how many there may be.
const CAP: usize = 32_768;
const BATCH: usize = 1_000;

pub(crate) fn one_key(calls: usize) -> Result<(), InvalidConfig> {
    let limiter = plenty()?;
    let key = &keys(0..1)[0];
    limiter.allow(key);
    repeat(calls, || limiter.allow(black_box(key)));
    Ok(())
}

pub(crate) fn keys_in_turn(calls: usize) -> Result<(), InvalidConfig> {
    let limiter = plenty()?;
    let keys = keys(0..10_000);
    keys.iter().for_each(|key| assert!(limiter.allow(key)));
    let mut turn = keys.iter().cycle();
    repeat(calls, || turn.next().is_some_and(|key| limiter.allow(key)));
    Ok(())
}

pub(crate) fn refused(calls: usize) -> Result<(), InvalidConfig> {
    let limiter =
        TokenBucket::builder(1, Rate::per_second(1.0)?).clock(MockClock::new()).build()?;
    let key = &keys(0..1)[0];
    limiter.allow(key);
    repeat(calls, || !limiter.allow(black_box(key)));
    Ok(())
}

pub(crate) fn one_bucket(calls: usize) -> Result<(), InvalidConfig> {
    let limiter = TokenBucket::builder(PLENTY, Rate::per_second(1_000_000.0)?)
        .clock(MockClock::new())
        .per_key(false)
        .build()?;
    let key = &keys(0..1)[0];
    limiter.allow(key);
    repeat(calls, || limiter.allow(black_box(key)));
    Ok(())
}

/// Counts the keys, not the batches.
pub(crate) fn many(calls: usize) -> Result<(), InvalidConfig> {
    let limiter = plenty()?;
    let keys = keys(0..BATCH);
    limiter.allow_many(&keys);
    repeat(calls / BATCH, || limiter.allow_many(black_box(&keys)).iter().all(|allowed| *allowed));
    Ok(())
}

/// Each newcomer takes the place of a bucket that is as new.
pub(crate) fn flood_of_idle(calls: usize) -> Result<(), InvalidConfig> {
    assert!(calls <= CAP, "calls is {calls}; give at most {CAP}, or none idle will be left");
    let (limiter, clock) = full_house()?;
    clock.advance(Duration::from_secs(10));
    let newcomers = keys(CAP..CAP + calls);
    let mut newcomers = newcomers.iter();
    repeat(calls, || newcomers.next().is_some_and(|key| limiter.allow(key)));
    assert_eq!(0, limiter.evicted_live());
    Ok(())
}

/// Each newcomer takes the place of a bucket that is in use.
pub(crate) fn flood_of_live(calls: usize) -> Result<(), InvalidConfig> {
    let (limiter, _clock) = full_house()?;
    let newcomers = keys(CAP..CAP + calls);
    let mut newcomers = newcomers.iter();
    repeat(calls, || newcomers.next().is_some_and(|key| limiter.allow(key)));
    assert_eq!(calls as u64, limiter.evicted_live());
    Ok(())
}

pub(crate) fn acquire(calls: usize) -> Result<(), InvalidConfig> {
    let limiter = plenty()?;
    let key = &keys(0..1)[0];
    limiter.allow(key);
    repeat(calls, || ready::value(limiter.acquire(black_box(key))).is_ok());
    Ok(())
}

/// Makes a limiter that refuses nobody.
pub(crate) fn plenty() -> Result<TokenBucket, InvalidConfig> {
    let rate = Rate::per_second(1_000_000.0)?;
    TokenBucket::builder(PLENTY, rate).clock(MockClock::new()).build()
}

/// Makes a limiter that holds as many buckets as it may, all in use.
fn full_house() -> Result<(TokenBucket, MockClock), InvalidConfig> {
    let clock = MockClock::new();
    let limiter = TokenBucket::builder(10, Rate::per_second(5.0)?)
        .clock(clock.clone())
        .max_buckets(CAP)
        .build()?;
    keys(0..CAP).iter().for_each(|key| assert!(limiter.allow(key)));
    Ok((limiter, clock))
}

/// Makes keys of sixteen bytes, as users of an API might be called.
fn keys(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("user:{number:011}")).collect()
}
