//! Retry policies: which errors, how often, how long between.

use std::rc::Rc;
use std::time::Duration;

use limitpal::{InvalidConfig, RetryPolicy, RetryPolicyBuilder, RetrySettings};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> RetryPolicyBuilder<&'static str> {
    RetryPolicy::builder()
}

fn delays(builder: RetryPolicyBuilder<&'static str>) -> Vec<Duration> {
    builder.build().expect("a policy within the ranges").schedule().collect()
}

#[test]
fn delays_grow_by_the_factor_up_to_the_cap() {
    let millis = Duration::from_millis;
    let policy = builder().max_attempts(7).base_delay(millis(500)).max_delay(millis(6_100));

    let expected = vec![millis(500), SECOND, 2 * SECOND, 4 * SECOND, millis(6_100), millis(6_100)];
    assert_eq!(expected, delays(policy));
}

#[test]
fn a_run_of_one_attempt_has_no_delays() {
    assert_eq!(Vec::<Duration>::new(), delays(builder().max_attempts(1)));
}

/// The numbers are what Python's `min(max_delay, base_delay * backoff**(n - 1))` gives.
#[test]
fn delays_in_seconds_are_the_formula_in_floats_to_the_bit() {
    let bits = |base, backoff: f64, attempts: &[u32]| -> Vec<f64> {
        let settings = RetrySettings::new(3, (base, 1e9), backoff, 0.0, None).unwrap();
        attempts.iter().map(|&n| settings.delay_secs(n)).collect()
    };

    assert_eq!(vec![0.1, 0.15000000000000002, 0.225, 0.3375], bits(0.1, 1.5, &[1, 2, 3, 4]));
    assert_eq!(
        vec![0.36300000000000004, 0.3993000000000001, 0.5846151300000003],
        bits(0.3, 1.1, &[3, 4, 8]),
    );
    assert_eq!(
        vec![100.44234900000004, 15075857.74152892, 1000000000.0],
        bits(0.7, 2.7, &[6, 18, 31]),
    );
}

#[test]
fn no_attempt_number_overflows() {
    for (backoff, max_delay) in [(2.0, 5 * SECOND), (1e308, Duration::MAX), (1.0, SECOND)] {
        let policy = builder().base_delay(SECOND).max_delay(max_delay).backoff(backoff);
        let policy = policy.build().unwrap();

        for n in [1_100, 1_000_000, u32::MAX] {
            assert!(policy.delay(n) <= max_delay, "{policy:?} after attempt {n}");
            assert!(policy.delay(n) >= SECOND, "{policy:?} after attempt {n}");
        }
    }
}

#[test]
fn no_delay_stays_none_however_often_it_is_multiplied() {
    let settings = RetrySettings::new(3, (0.0, 5.0), 1e300, 1.0, None).unwrap();

    for n in [1, 2, 1_000, u32::MAX] {
        assert_eq!(0.0, settings.delay_secs(n), "after attempt {n}");
    }
}

#[test]
fn jitter_strays_to_both_sides_and_on_average_not_at_all() {
    let policy = builder().base_delay(SECOND).jitter(0.1).seed(7).build().unwrap();
    let draws: Vec<f64> = (0..10_000).map(|_| policy.delay(1).as_secs_f64()).collect();
    let between = |low: f64, high: f64| draws.iter().filter(|d| (low..=high).contains(d)).count();

    assert_eq!(draws.len(), between(0.9, 1.1));
    for low in [0.90, 0.95, 1.0, 1.05] {
        let share = between(low, low + 0.05);
        assert!((2_350..=2_650).contains(&share), "{share} of 10,000 from {low}, seed 7");
    }
}

#[test]
fn a_full_jitter_reaches_from_nothing_to_twice_the_delay() {
    let policy = builder().base_delay(SECOND).jitter(1.0).seed(7).build().unwrap();
    let draws: Vec<Duration> = (0..1_000).map(|_| policy.delay(1)).collect();

    assert!(draws.iter().any(|&delay| delay < SECOND / 10), "seed 7");
    assert!(draws.iter().any(|&delay| delay > SECOND * 19 / 10), "seed 7");
}

#[test]
fn a_seed_repeats_the_jitter_and_every_policy_starts_it_anew() {
    let draws = |policy: &RetryPolicy<&str>| -> Vec<Duration> {
        (0..20).map(|_| policy.delay(1)).collect()
    };
    let make = |seed| builder().jitter(0.5).seed(seed).build().unwrap();
    let policy = make(7);
    let first = draws(&policy);

    assert_eq!(first, draws(&make(7)));
    assert_eq!(first, draws(&policy.clone()));
    assert_ne!(first, draws(&policy), "it goes on where it was");
    assert_ne!(first, draws(&make(8)));
    assert!(first.windows(2).all(|pair| pair[0] != pair[1]), "{first:?}");
}

#[test]
fn without_a_seed_no_two_policies_draw_alike() {
    let make = || delays(builder().max_attempts(20).jitter(0.5));

    assert_ne!(make(), make());
}

#[test]
fn an_error_is_retried_while_attempts_are_left_and_the_predicate_agrees() {
    let policy = builder().max_attempts(3).retry_if(|error| *error == "timeout").build().unwrap();

    let retries = |error, n| policy.should_retry(&error, n);
    assert!(retries("timeout", 1) && retries("timeout", 2));
    assert!(!retries("timeout", 3) && !retries("timeout", 4));
    assert!(!retries("not found", 1));
    assert!(RetryPolicy::default().should_retry(&"anything", 2));
}

#[test]
fn a_policy_is_a_value() {
    let build = |builder: RetryPolicyBuilder<&'static str>| builder.build().unwrap();
    let policy = build(builder());
    let picky = build(builder().retry_if(|_| false));

    assert_eq!(policy, RetryPolicy::default());
    assert_eq!(picky, picky.clone());
    for other in [
        picky,
        build(builder().max_attempts(4)),
        build(builder().base_delay(SECOND)),
        build(builder().max_delay(SECOND)),
        build(builder().backoff(3.0)),
        build(builder().jitter(0.5)),
        build(builder().seed(7)),
        build(builder().retry_if(|_| false)),
    ] {
        assert_ne!(policy, other);
    }
}

#[test]
fn it_shows_what_it_was_built_of() {
    let policy = builder().jitter(0.25).seed(7).retry_if(|_| true).build().unwrap();

    assert_eq!(
        "RetryPolicy { max_attempts: 3, base_delay: 100ms, max_delay: 5s, backoff: 2.0, \
         jitter: 0.25, seed: 7, retry_if: a closure }",
        format!("{policy:?}"),
    );
}

#[test]
fn a_policy_goes_between_threads_whatever_its_error() {
    fn check<T: Send + Sync>(_: &T) {}

    check(&RetryPolicy::<Rc<()>>::default());
}

#[test]
fn nonsense_is_refused_by_name() {
    let refused = |result: Result<RetrySettings, InvalidConfig>| result.unwrap_err().to_string();
    let delays = |base, cap| refused(RetrySettings::new(3, (base, cap), 2.0, 0.0, None));
    let factor = |backoff| refused(RetrySettings::new(3, (0.1, 5.0), backoff, 0.0, None));
    let jitter = |jitter| refused(RetrySettings::new(3, (0.1, 5.0), 2.0, jitter, None));
    let (nan, inf) = (f64::NAN, f64::INFINITY);

    assert_eq!(
        "max_attempts is 0; give a whole number of at least 1",
        builder().max_attempts(0).build().unwrap_err().to_string(),
    );
    assert_eq!(
        "max_delay is 1; give a finite number of seconds, at least base_delay (2)",
        builder().base_delay(2 * SECOND).max_delay(SECOND).build().unwrap_err().to_string(),
    );
    for base in [-0.1, nan, inf] {
        let advice = "give a finite number of seconds, at least 0";
        assert_eq!(format!("base_delay is {base}; {advice}"), delays(base, 5.0));
    }
    for cap in [0.09, -1.0, nan, inf] {
        assert!(delays(0.1, cap).starts_with(&format!("max_delay is {cap}; ")), "{cap}");
    }
    for backoff in [0.99, -2.0, nan, inf] {
        let advice = "give a finite number of at least 1";
        assert_eq!(format!("backoff is {backoff}; {advice}"), factor(backoff));
    }
    for share in [-0.1, 1.01, nan, inf] {
        let advice = "give a number from 0 to 1, \"full\", \"equal\", \"decorrelated\" or \
                      \"smoothed_decorrelated\"";
        assert_eq!(format!("jitter is {share}; {advice}"), jitter(share));
    }
}

#[test]
fn the_ends_of_the_ranges_are_allowed() {
    for (delays, backoff, jitter) in [((0.0, 0.0), 1.0, 0.0), ((5.0, 5.0), f64::MAX, 1.0)] {
        assert!(RetrySettings::new(1, delays, backoff, jitter, None).is_ok());
    }
    assert!(builder().max_attempts(u32::MAX).max_delay(Duration::MAX).build().is_ok());
}

proptest! {
    /// With any settings, after any attempt: never above the cap, and within the jitter of the
    /// delay without it.
    #[test]
    fn a_delay_never_exceeds_the_cap_and_strays_no_further_than_its_jitter(
        base in 0_u64..=u64::MAX / 2,
        more in 0_u64..=u64::MAX / 2,
        nanos in 0_u32..1_000_000_000,
        backoff in 1.0_f64..1e6,
        jitter in 0.0_f64..=1.0,
        n in prop_oneof![1_u32..100, Just(u32::MAX)],
        seed: u64,
    ) {
        let base_delay = Duration::from_nanos(base) + Duration::from_nanos(nanos.into());
        let max_delay = base_delay + Duration::from_nanos(more);
        let make = |jitter| {
            let policy = builder().base_delay(base_delay).max_delay(max_delay).backoff(backoff);
            policy.jitter(jitter).seed(seed).build().unwrap()
        };

        let (plain, delay) = (make(0.0).delay(n), make(jitter).delay(n));

        prop_assert!(plain <= max_delay);
        prop_assert!(delay <= max_delay);
        let stray = plain.as_secs_f64() * jitter * (1.0 + 1e-9) + 1e-9;
        prop_assert!((delay.as_secs_f64() - plain.as_secs_f64()).abs() <= stray);
    }
}
