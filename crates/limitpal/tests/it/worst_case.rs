//! An adversary looks for the worst window: it finds what the bound says, and never more.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line as well")]

mod plan;

use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, LeakyBucket, MockClock, Rate, TokenBucket, WarmUpBucket, strict,
};

use self::plan::{Plan, Scale, most_in_a_window};

/// Plans tried from each beginning, and the most beginnings while the bound is not found.
const STEPS: usize = 120;
const BEGINNINGS: u64 = 30;

/// Makes a limiter on a clock.
type Make = fn(&MockClock) -> AnyLimiter;

/// Climbs from random plans to ever worse ones; returns the most that any had admitted.
fn search(make: Make, window: Duration, seed: u64, beginnings: u64) -> u64 {
    let bound = make(&MockClock::new()).bound(window);
    let scale = Scale::of(window, bound);
    let mut worst = 0;
    for beginning in 0..beginnings {
        if worst == bound {
            break;
        }
        let mut random = fastrand::Rng::with_seed(seed + beginning);
        let (mut best, mut most) = (Plan::random(&scale, &mut random), 0);
        for _ in 0..STEPS {
            let plan = best.changed(&scale, &mut random);
            let clock = MockClock::new();
            let grants = plan.play(&make(&clock), &clock);
            let found = most_in_a_window(&grants, window);
            assert!(
                found <= bound,
                "{found} in {window:?}, bound {bound}, seed {seed} + {beginning}: {plan:?}"
            );
            if found >= most {
                (best, most) = (plan, found);
            }
        }
        worst = worst.max(most);
    }
    worst
}

/// Fails unless the search comes within 5 % of the bound, in each of these windows.
fn finds_the_bound(make: Make, windows: &[Duration]) {
    for (seed, window) in (1000..).step_by(100).zip(windows) {
        let bound = make(&MockClock::new()).bound(*window);

        let found = search(make, *window, seed, BEGINNINGS);

        assert!(20 * found >= 19 * bound, "{found} of {bound} in {window:?}, seed {seed}");
    }
}

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

const WINDOWS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_nanos(1),
    Duration::from_nanos(333_333_333),
    Duration::from_nanos(333_333_334),
    Duration::from_secs(1),
    Duration::from_nanos(1_999_999_999),
    Duration::from_millis(3_300),
    Duration::from_secs(7),
];

fn token(capacity: u32, rate: Rate, clock: &MockClock) -> AnyLimiter {
    TokenBucket::builder(capacity, rate).clock(clock).build().unwrap().into()
}

fn leaky(capacity: u32, rate: Rate, clock: &MockClock) -> AnyLimiter {
    LeakyBucket::builder(capacity, rate).clock(clock).build().unwrap().into()
}

#[test]
fn the_worst_case_of_a_token_bucket_is_its_bound() {
    finds_the_bound(|clock| token(10, Rate::per_second(5.0).unwrap(), clock), &WINDOWS);
    finds_the_bound(|clock| token(4, Rate::new(7, nanos(1_100_000_001)).unwrap(), clock), &WINDOWS);
}

#[test]
fn the_worst_case_of_a_bucket_for_one_is_its_bound() {
    finds_the_bound(|clock| token(1, Rate::per_second(5.0).unwrap(), clock), &WINDOWS);
    finds_the_bound(|clock| leaky(1, Rate::per_second(5.0).unwrap(), clock), &WINDOWS);
}

/// Three a second are due each third of a second, and go at the whole nanosecond after it.
#[test]
fn a_bucket_for_one_whose_permits_come_between_nanoseconds_stays_one_below() {
    let makes: [Make; 2] = [
        |clock| token(1, Rate::per_second(3.0).unwrap(), clock),
        |clock| leaky(1, Rate::per_second(3.0).unwrap(), clock),
    ];
    for make in makes {
        for window in [Duration::from_secs(1), Duration::from_secs(2)] {
            let bound = make(&MockClock::new()).bound(window);
            assert_eq!(bound - 1, search(make, window, 9, 2), "{window:?}");
        }
    }
}

#[test]
fn the_worst_case_of_a_limit_in_words_is_twice_its_count() {
    let minute = [Duration::from_secs(60)];
    finds_the_bound(
        |clock| TokenBucket::per("20/minute").unwrap().clock(clock).build().unwrap().into(),
        &minute,
    );
    assert_eq!(40, TokenBucket::per("20/minute").unwrap().build().unwrap().bound(minute[0]));
}

#[test]
fn the_worst_case_of_a_strict_limit_is_its_count() {
    let log: Make = |clock| strict("20/s").unwrap().clock(clock).build().unwrap().into();
    let even: Make = |clock| strict("20/s").unwrap().burst(1).clock(clock).build().unwrap().into();
    let half: Make = |clock| strict("21/s").unwrap().burst(11).clock(clock).build().unwrap().into();
    for (make, most) in [(log, 20), (even, 20), (half, 21)] {
        let second = Duration::from_secs(1);
        assert_eq!(most, make(&MockClock::new()).bound(second));
        finds_the_bound(make, &[second, nanos(333_333_333), nanos(999_999_999)]);
    }
}

/// As soon as it is warm, and full to the nanosecond, it is a token bucket like any other.
#[test]
fn the_worst_case_of_a_bucket_that_warms_up_is_its_bound() {
    let ramp: Make = |clock| {
        let rate = Rate::per_second(5.0).unwrap();
        let builder = WarmUpBucket::builder(6, rate, Duration::from_secs(2));
        builder.clock(clock).build().unwrap().into()
    };
    for window in WINDOWS {
        search(ramp, window, 7, 2);
        let clock = MockClock::new();
        let limiter = ramp(&clock);
        (0..60).for_each(|_| limiter.acquire_blocking("k").unwrap());
        clock.advance(Duration::from_millis(1200));
        let (end, mut went) = (clock.now() + window, 0);
        while clock.now() <= end {
            went += u64::from(limiter.allow("k"));
            clock.advance(limiter.peek("k").retry_after.duration().unwrap());
        }
        assert_eq!(limiter.bound(window), went, "{window:?}");
    }
}

#[test]
fn the_worst_case_of_a_bucket_that_may_owe_is_its_bound() {
    let owing: Make = |clock| {
        let builder = TokenBucket::builder(6, Rate::per_second(5.0).unwrap()).debt(2);
        builder.clock(clock).build().unwrap().into()
    };
    assert_eq!(8, owing(&MockClock::new()).bound(Duration::ZERO));
    finds_the_bound(owing, &WINDOWS);
}

#[test]
fn the_worst_case_of_a_leaky_bucket_is_its_bound() {
    finds_the_bound(|clock| leaky(8, Rate::per_second(5.0).unwrap(), clock), &WINDOWS);
    finds_the_bound(|clock| leaky(4, Rate::per_second(4.0).unwrap(), clock), &WINDOWS);
}

/// Who waits here goes at whole nanoseconds, so that the worst is hard to find.
#[test]
fn a_leaky_bucket_whose_permits_come_between_nanoseconds_stays_within_its_bound() {
    for window in WINDOWS {
        search(|clock| leaky(3, Rate::per_second(7.0).unwrap(), clock), window, 1, 2);
    }
}

#[test]
fn the_worst_case_of_a_composite_is_the_least_of_its_parts() {
    let of = |clock: &MockClock| {
        CompositeLimiter::of_with_clock(["10/s", "18 per 6 s"], clock).unwrap().into()
    };
    let mixed = |clock: &MockClock| {
        let overall = TokenBucket::builder(12, Rate::per_second(2.0).unwrap()).per_key(false);
        let overall = overall.clock(clock).build().unwrap().into();
        let even = leaky(5, Rate::per_second(6.0).unwrap(), clock);
        CompositeLimiter::new([even, overall]).unwrap().into()
    };
    finds_the_bound(of, &WINDOWS);
    finds_the_bound(mixed, &WINDOWS);
}

#[test]
fn the_search_finds_one_permit_too_many() {
    // One more than the bound is what a limiter of one more admits.
    let window = Duration::from_secs(2);
    let rate = || Rate::per_second(5.0).unwrap();
    let bound = token(9, rate(), &MockClock::new()).bound(window);

    let make = |clock: &MockClock| token(10, Rate::per_second(5.0).unwrap(), clock);
    let found = search(make, window, 5, BEGINNINGS);

    assert!(found > bound, "{found} of {bound}");
}
