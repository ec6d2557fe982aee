//! A limiter whose rate follows what the other side says.

mod calls;
mod laws;
mod service;
mod waiting;

use std::time::Duration;

use limitpal::{
    AdaptiveLimiter, AdaptiveLimiterBuilder, CompositeLimiter, Cost, InvalidConfig, MockClock,
    Rate, RateAlgorithm, RetryAfter, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

fn per_second(rate: f64) -> Rate {
    Rate::per_second(rate).unwrap()
}

fn starting(max_rate: f64, clock: &MockClock) -> AdaptiveLimiterBuilder {
    AdaptiveLimiter::builder(per_second(max_rate)).clock(clock)
}

/// Takes evenly, so many a second for so many seconds.
fn take_evenly(limiter: &AdaptiveLimiter, clock: &MockClock, rate: u32, seconds: u32) {
    for _ in 0..rate * seconds {
        limiter.allow("api");
        clock.advance(SECOND / rate);
    }
}

/// Returns a limiter of at most a thousand a second that was throttled at a hundred.
fn throttled_at_100(builder: AdaptiveLimiterBuilder, clock: &MockClock) -> AdaptiveLimiter {
    let limiter = builder.build().unwrap();
    take_evenly(&limiter, clock, 100, 3);
    limiter.record_throttled("api");
    limiter
}

fn assert_near(expected: f64, rate: f64) {
    assert!((rate / expected - 1.0).abs() < 1e-9, "{rate} is not {expected}");
}

#[test]
fn until_something_throttles_the_rate_is_the_highest() {
    let clock = MockClock::new();
    let limiter = starting(100.0, &clock).build().unwrap();

    take_evenly(&limiter, &clock, 10, 3);
    limiter.record_success("api");

    assert_eq!(100.0, limiter.rate("api"));
}

#[test]
fn throttling_leaves_a_share_of_what_was_measured() {
    for (algorithm, expected) in [(RateAlgorithm::Cubic, 70.0), (RateAlgorithm::Aimd, 90.0)] {
        let clock = MockClock::new();
        let builder = starting(1000.0, &clock).algorithm(algorithm);

        let limiter = throttled_at_100(builder, &clock);

        assert_near(expected, limiter.rate("api"));
        assert_eq!(1000.0, limiter.rate("other"), "each key has a rate of its own");
    }
}

#[test]
fn cubic_is_back_where_it_was_throttled_after_k_and_then_tries_more() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);
    // k = cbrt(100 * 0.3 / 0.4) = 4.217 s
    let k = 75_f64.cbrt();
    let curve = |t: f64| 0.4 * (t - k).powi(3) + 100.0;

    for second in 1..=8 {
        take_evenly(&limiter, &clock, 1000, 1);
        limiter.record_success("api");

        let rate = limiter.rate("api");
        assert!((rate - curve(f64::from(second))).abs() < 1e-3, "{rate} after {second} s");
    }
    assert!(limiter.rate("api") > 120.0);
}

#[test]
fn aimd_rises_by_its_increase_in_a_second_where_all_of_it_is_used() {
    let clock = MockClock::new();
    let builder = starting(1000.0, &clock).algorithm(RateAlgorithm::Aimd).increase(5.0);
    let limiter = throttled_at_100(builder, &clock);
    let start = clock.now();

    for _ in 0..1000 {
        limiter.acquire_blocking("api").unwrap();
        limiter.record_success("api");
    }

    let took = clock.now().saturating_duration_since(start).as_secs_f64();
    let gained = limiter.rate("api") - 90.0;
    assert!((gained / (5.0 * took) - 1.0).abs() < 0.01, "{gained} in {took} s");
}

#[test]
fn a_burst_of_throttling_lowers_once() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);

    (0..20).for_each(|_| limiter.record_throttled("api"));
    clock.advance(Duration::from_millis(500) - NANO);
    limiter.record_throttled("api");
    assert_near(70.0, limiter.rate("api"));
    clock.advance(NANO);
    limiter.record_throttled("api");

    assert_near(49.0, limiter.rate("api"));
}

#[test]
fn without_a_cooldown_each_answer_lowers_down_to_the_lowest_rate() {
    let clock = MockClock::new();
    let builder = starting(1000.0, &clock).cooldown(Duration::ZERO).min_rate(per_second(2.0));
    let limiter = throttled_at_100(builder, &clock);

    limiter.record_throttled("api");
    assert_near(49.0, limiter.rate("api"));
    (0..20).for_each(|_| limiter.record_throttled("api"));

    assert_eq!(2.0, limiter.rate("api"));
}

#[test]
fn a_success_never_leaves_the_rate_above_twice_what_goes() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock), &clock);

    take_evenly(&limiter, &clock, 10, 60);
    limiter.record_success("api");

    assert_near(20.0, limiter.rate("api"));
}

#[test]
fn a_lower_start_is_raised_by_what_succeeds_and_by_no_more_than_goes() {
    for algorithm in [RateAlgorithm::Cubic, RateAlgorithm::Aimd] {
        let clock = MockClock::new();
        let builder = starting(1000.0, &clock).algorithm(algorithm).initial_rate(per_second(50.0));
        let limiter = builder.build().unwrap();
        take_evenly(&limiter, &clock, 40, 8);

        limiter.record_success("api");

        let rate = limiter.rate("api");
        assert!(rate > 50.0 && rate <= 80.0 + 1e-9, "{algorithm:?}: {rate}");
    }
}

#[test]
fn permits_are_there_to_the_nanosecond_at_whatever_rate() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock).burst(3), &clock);
    assert_eq!(vec![true, true, true, false], limiter.allow_many(["api"; 4]));

    let refused = limiter.check("api");
    let wait = refused.retry_after.duration().expect("one permit is always served");
    assert_eq!((3, 0), (refused.limit, refused.remaining));
    assert_eq!(Duration::from_nanos(14_285_715), wait, "a seventieth of a second");
    clock.advance(wait - NANO);
    assert!(!limiter.allow("api"));
    clock.advance(NANO);
    assert!(limiter.allow("api"));
}

#[test]
fn a_change_of_the_rate_changes_no_permit_that_is_there() {
    let clock = MockClock::new();
    let limiter = starting(10.0, &clock).burst(10).build().unwrap();
    assert!(limiter.allow(("api", Cost::new(8).unwrap())));
    clock.advance(SECOND / 2);
    assert_eq!(7, limiter.peek("api").remaining);

    limiter.record_throttled("api"); // 8 in half a second are measured: 16; so 0.7 * 10
    assert_near(7.0, limiter.rate("api"));
    assert_eq!(7, limiter.peek("api").remaining);
    clock.advance(SECOND / 7 + NANO);

    assert_eq!(8, limiter.peek("api").remaining);
    assert_eq!(Duration::from_nanos(285_714_286), limiter.peek("api").reset_after);
}

#[test]
fn what_was_learned_is_forgotten_after_so_long_and_not_before() {
    let clock = MockClock::new();
    let builder = starting(1000.0, &clock).forget_after(SECOND * 60).ttl(NANO);
    let limiter = throttled_at_100(builder, &clock);

    clock.advance(SECOND * 60 - NANO);
    assert!(limiter.contains("api"));
    assert_near(70.0, limiter.rate("api"));
    clock.advance(NANO);
    assert_eq!(1000.0, limiter.rate("api"));
    assert!(!limiter.contains("api"));
}

#[test]
fn a_flood_of_new_keys_does_not_forget_one_that_was_throttled() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock).max_buckets(4), &clock);

    for key in 0..40 {
        assert!(limiter.allow(&key.to_string()));
        clock.advance(SECOND * 10);
    }

    assert_eq!(0, limiter.evicted_live());
    assert_near(70.0, limiter.rate("api"));
}

#[test]
fn who_is_throttled_without_a_take_is_remembered_and_who_succeeds_is_not() {
    let clock = MockClock::new();
    let limiter = starting(100.0, &clock).build().unwrap();

    limiter.record_success("ann");
    limiter.record_throttled("bob");

    assert_eq!((false, true), (limiter.contains("ann"), limiter.contains("bob")));
    assert_near(70.0, limiter.rate("bob"));
    limiter.reset("bob");
    assert_eq!(100.0, limiter.rate("bob"));
}

#[test]
fn a_refused_composite_leaves_it_as_it_was() {
    let clock = MockClock::new();
    let limiter = throttled_at_100(starting(1000.0, &clock).burst(2), &clock);
    let bucket = TokenBucket::builder(1, per_second(0.1)).clock(&clock).build().unwrap();
    let both = CompositeLimiter::new([limiter.clone().into(), bucket.into()]).unwrap();

    assert!(both.allow("api"));
    let before = limiter.peek("api");
    assert!(!both.allow("api"));

    assert_eq!(before, limiter.peek("api"));
    assert_eq!(RetryAfter::After(SECOND * 10), both.peek("api").retry_after);
    both.acquire_blocking("api").unwrap();
}

#[test]
fn no_key_is_created_by_a_composite_that_refuses() {
    let clock = MockClock::new();
    let limiter = starting(1000.0, &clock).build().unwrap();
    let bucket = TokenBucket::builder(1, per_second(0.1)).clock(&clock).per_key(false);
    let bucket = bucket.build().unwrap();
    let both = CompositeLimiter::new([limiter.clone().into(), bucket.clone().into()]).unwrap();
    assert!(bucket.allow("any"));

    assert!(!both.allow("new"));

    assert!(limiter.is_empty());
}

#[test]
fn a_key_takes_what_the_docs_say() {
    use limitpal::parts::{AdaptiveRate, Algorithm};

    assert_eq!(160, size_of::<<AdaptiveRate as Algorithm>::State>());
}

#[test]
fn nonsense_is_refused_by_name() {
    let clock = MockClock::new();
    let new = || starting(100.0, &clock);
    let refusal = |builder: AdaptiveLimiterBuilder| -> InvalidConfig {
        builder.build().map(drop).unwrap_err()
    };
    let cases = [
        (new().burst(0), "burst is 0; give a whole number from 1 to 4294967295"),
        (
            new().min_rate(per_second(101.0)),
            "min_rate is 101; give a rate of at most max_rate (100)",
        ),
        (
            new().initial_rate(per_second(0.1)),
            "initial_rate is 0.1; give a rate from min_rate (0.5) to max_rate (100)",
        ),
        (
            new().decrease(1.0),
            "decrease is 1; give a number above 0 and below 1; 0.7 takes away three tenths",
        ),
        (
            new().increase(1.0),
            "increase is 1; leave it out, or choose the algorithm \"aimd\"; \"cubic\" has its own curve",
        ),
        (
            new().algorithm(RateAlgorithm::Aimd).increase(f64::NAN),
            "increase is NaN; give a finite number above 0, in permits a second gained in a second",
        ),
        (
            new().forget_after(Duration::ZERO),
            "forget_after is 0ns; give a time above 0, 100 years at most",
        ),
        (
            new().min_rate(per_second(1e-9)).burst(4),
            "min_rate is 0.000000001; raise it, so that burst / min_rate is 100 years at most",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(message, refusal(builder).to_string());
    }
    assert_eq!("decrease", refusal(new().decrease(f64::NAN)).parameter());
    assert_eq!("cooldown", refusal(new().cooldown(SECOND * u32::MAX)).parameter());
}

#[test]
fn what_was_built_is_shown() {
    let clock = MockClock::new();
    let limiter = starting(0.25, &clock).algorithm(RateAlgorithm::Aimd).build().unwrap();

    let shown = format!("{limiter:?}");

    let begin = "AdaptiveLimiter { max_rate: 0.25 per second, algorithm: Aimd, \
                 min_rate: 0.25 per second, initial_rate: 0.25 per second, burst: 1, \
                 decrease: 0.9, increase: 0.0008333333333333334, cooldown: 500ms, \
                 forget_after: 600s, clock: ";
    assert!(shown.starts_with(begin), "{shown}");
    assert_eq!(
        (0.25, 0.25),
        (limiter.max_rate().as_per_second(), limiter.min_rate().as_per_second())
    );
    assert_eq!(("aimd", 1), (limiter.algorithm().as_str(), limiter.burst()));
}
