//! Delays of every growth and jitter, after errors of a class, and those a server asks for.

use std::time::Duration;

use limitpal::parts::Shape;
use limitpal::{
    Delays, Jitter, MockClock, ResilientExecutor, RetryPolicy, RetryPolicyBuilder, RunError,
    StopReason,
};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> RetryPolicyBuilder<&'static str> {
    RetryPolicy::builder()
}

fn refused(builder: RetryPolicyBuilder<&'static str>) -> String {
    builder.build().unwrap_err().to_string()
}

/// Runs a script of errors, and returns the seconds that the run waited in all.
fn waited(policy: RetryPolicy<&'static str>, errors: &[&'static str]) -> f64 {
    let clock = MockClock::new();
    let executor = ResilientExecutor::builder().retry_policy(policy).clock(clock.clone());
    let executor = executor.build().expect("an executor is always right");
    let mut errors = errors.iter();
    let answer = executor.run_blocking("api", || errors.next().map_or(Ok(()), |error| Err(*error)));
    assert!(answer.is_ok(), "{answer:?}");
    clock.now().as_nanos() as f64 / 1e9
}

#[test]
fn a_run_waits_as_its_delays_say() {
    let policy = builder().delays(Delays::linear(SECOND, SECOND)).max_attempts(4).build().unwrap();

    assert_eq!(6.0, waited(policy, &["slow"; 3]));
}

#[test]
fn an_error_of_a_class_has_delays_of_its_own_and_the_first_class_wins() {
    let policy = builder()
        .max_attempts(9)
        .delays(Delays::constant(SECOND))
        .delays_for(|error| error.starts_with("throttled"), Delays::linear(2 * SECOND, SECOND))
        .delays_for(|error| error.ends_with("hard"), Delays::constant(5 * SECOND))
        .build()
        .unwrap();

    assert_eq!(1.0, waited(policy.clone(), &["slow"]));
    assert_eq!(2.0, waited(policy.clone(), &["throttled hard"]));
    assert_eq!(5.0, waited(policy.clone(), &["hard"]));
    assert_eq!(4.0, waited(policy, &["slow", "throttled"]), "the class's second delay, 3 s");
}

#[test]
fn a_delay_that_the_server_asks_for_is_waited_exactly_up_to_its_own_maximum() {
    let asks = |seconds: f64| {
        let policy = builder()
            .jitter(Jitter::Full)
            .min_delay(SECOND)
            .delay_from(move |_| Some(Duration::from_secs_f64(seconds)))
            .max_server_delay(30 * SECOND);
        waited(policy.build().unwrap(), &["503"])
    };

    assert_eq!(7.5, asks(7.5), "above max_delay, and without jitter");
    assert_eq!(0.0, asks(0.0), "below min_delay");
    assert_eq!(30.0, asks(31.0));
    assert_eq!(30.0, asks(1e18));
    let silent = builder().delay_from(|_| None).build().unwrap();
    assert_eq!(0.1, waited(silent, &["500"]));
}

#[test]
fn a_wait_that_would_end_after_max_elapsed_is_not_begun() {
    for (max_elapsed, attempts) in [(2_999, 2), (3_000, 3), (6_999, 3), (7_000, 4)] {
        let clock = MockClock::new();
        let policy = builder()
            .unlimited_attempts()
            .base_delay(SECOND)
            .max_elapsed(Duration::from_millis(max_elapsed))
            .build()
            .unwrap();
        let executor = ResilientExecutor::builder().retry_policy(policy).clock(clock.clone());

        let end = executor.build().unwrap().run_blocking("api", || Err::<(), _>("slow"));

        let Err(RunError::RetryExhausted(end)) = end else { panic!("{end:?}") };
        assert_eq!((attempts, StopReason::Elapsed), (end.attempts, end.reason), "{max_elapsed}");
        assert!(end.to_string().ends_with("there is no time left for another"), "{end}");
        assert!(clock.now().as_nanos() <= u128::from(max_elapsed) as i64 * 1_000_000);
    }
}

#[test]
fn what_an_attempt_takes_counts_towards_max_elapsed() {
    let clock = MockClock::new();
    let policy = builder().unlimited_attempts().base_delay(SECOND).max_elapsed(10 * SECOND);
    let executor = ResilientExecutor::builder()
        .retry_policy(policy.build().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();

    let end = executor.run_blocking("api", || {
        clock.advance(4 * SECOND);
        Err::<(), _>("slow")
    });

    let Err(RunError::RetryExhausted(end)) = end else { panic!("{end:?}") };
    assert_eq!((2, StopReason::Elapsed), (end.attempts, end.reason), "4, 5 to 9, then 2 s more");
    assert_eq!(9_000_000_000, clock.now().as_nanos());
}

#[test]
fn nonsense_is_refused_by_name() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for bad in [-1.0, nan, inf] {
        for (name, shape) in [
            ("base", Shape::Exponential { base: bad, factor: 2.0 }),
            ("factor", Shape::Exponential { base: 1.0, factor: bad }),
            ("seconds", Shape::Constant { seconds: bad }),
            ("base", Shape::Linear { base: bad, step: 1.0 }),
            ("step", Shape::Linear { base: 1.0, step: bad }),
            ("base", Shape::Fibonacci { base: bad }),
            ("delays", Shape::List([1.0, bad].into())),
        ] {
            assert_eq!(name, Delays::of(shape).unwrap_err().parameter(), "{bad}");
        }
    }
    assert_eq!(
        "delays is empty; give at least one delay",
        refused(builder().delays(Delays::list([])))
    );
    let long = Delays::list([SECOND, 60 * SECOND]);
    assert!(refused(builder().delays(long)).starts_with("max_delay is 5; give a finite number"));
    assert_eq!(
        "base_delay is 1s; leave it out where delays are given",
        refused(builder().base_delay(SECOND).delays(Delays::constant(SECOND))),
    );
    assert_eq!(
        "backoff is 3; leave it out where delays are given",
        refused(builder().backoff(3.0).delays(Delays::constant(SECOND))),
    );
    for jitter in [Jitter::Decorrelated, Jitter::SmoothedDecorrelated] {
        let says = refused(builder().backoff(3.0).jitter(jitter));
        assert!(says.starts_with(&format!("jitter is {jitter}; it makes delays grow")), "{says}");
        let class = builder().jitter(jitter).delays_for(|_| true, Delays::constant(SECOND));
        assert!(refused(class).starts_with("jitter is "));
    }
    assert!(refused(builder().min_delay(6 * SECOND)).starts_with("min_delay is 6; "));
    assert!(refused(builder().max_elapsed(Duration::ZERO)).starts_with("max_elapsed is 0ns; "));
}

#[test]
fn a_policy_shows_and_compares_what_is_new() {
    let make = || builder().delays(Delays::fibonacci(SECOND)).jitter(Jitter::Full);
    let policy = make().unlimited_attempts().max_elapsed(SECOND).build().unwrap();

    assert_eq!(
        "RetryPolicy { max_attempts: unlimited, max_elapsed: 1s, delays: Fibonacci { base: 1.0 }, \
         max_delay: 5s, jitter: Full }",
        format!("{policy:?}"),
    );
    assert_eq!(make().build().unwrap(), make().build().unwrap());
    assert_ne!(make().build().unwrap(), policy);
    assert_eq!(policy, policy.clone());
    let class = || make().delays_for(|_| true, Delays::constant(SECOND)).build().unwrap();
    assert_ne!(class(), class(), "two closures are two");
}

/// Decorrelated jitter goes on from the run's own delay before, however many runs there are.
#[test]
fn each_run_goes_on_from_its_own_delay() {
    let make = || builder().jitter(Jitter::Decorrelated).max_delay(1000 * SECOND).max_attempts(6);
    let policy = make().seed(7).build().unwrap();

    for _ in 0..200 {
        let mut before = Duration::from_millis(100);
        for delay in policy.schedule() {
            assert!(delay <= 3 * before, "{delay:?} after {before:?}, seed 7");
            assert!(delay >= Duration::from_millis(100), "{delay:?}, seed 7");
            before = delay;
        }
    }
}

/// The means that the formulas give, by ten thousand draws.
#[test]
fn jitter_by_name_has_the_mean_of_its_formula() {
    for (jitter, mean) in [
        (Jitter::Full, 2.0),
        (Jitter::Equal, 3.0),
        (Jitter::Decorrelated, 8.0),
        (Jitter::SmoothedDecorrelated, 4.0 * 0.8711),
    ] {
        let policy = builder().base_delay(4 * SECOND).max_delay(99 * SECOND).jitter(jitter).seed(7);
        let policy = policy.build().unwrap();

        let sum: f64 = (0..10_000).map(|_| policy.delay(1).as_secs_f64()).sum();

        assert!((sum / 10_000.0 - mean).abs() < 0.05, "{jitter}: {} seed 7", sum / 10_000.0);
    }
}

fn any_delays() -> impl Strategy<Value = Delays> {
    let span = || prop_oneof![Just(0.0), 0.0..10.0_f64, 0.0..1e300_f64];
    prop_oneof![
        (span(), 1.0..1e9_f64).prop_map(|(base, factor)| Shape::Exponential { base, factor }),
        span().prop_map(|seconds| Shape::Constant { seconds }),
        (span(), span()).prop_map(|(base, step)| Shape::Linear { base, step }),
        span().prop_map(|base| Shape::Fibonacci { base }),
        prop::collection::vec(span(), 1..9).prop_map(|delays| Shape::List(delays.into())),
    ]
    .prop_map(|shape| Delays::of(shape).expect("delays within the ranges"))
}

fn any_jitter() -> impl Strategy<Value = Jitter> {
    prop_oneof![(0.0..=1.0_f64).prop_map(Jitter::Share), Just(Jitter::Full), Just(Jitter::Equal),]
}

proptest! {
    /// Whatever the delays and the jitter: never above the cap, never below the floor.
    #[test]
    fn a_delay_lies_between_floor_and_cap(
        delays in any_delays(),
        jitter in any_jitter(),
        floor in 0.0..1.0_f64,
        n in prop_oneof![1_u32..100, Just(u32::MAX)],
        seed: u64,
    ) {
        let policy = builder()
            .delays(delays)
            .jitter(jitter)
            .min_delay(Duration::from_secs_f64(floor))
            .max_delay(Duration::MAX)
            .seed(seed)
            .build();
        let Ok(policy) = policy else { return Ok(()) };

        let delay = policy.delay(n);

        prop_assert!(delay >= Duration::from_secs_f64(floor).saturating_sub(Duration::from_nanos(1)));
        prop_assert!(delay <= Duration::MAX);
    }

    /// The jitters that grow by themselves: a run's delays lie between floor and cap, for ever.
    #[test]
    fn delays_that_grow_by_chance_lie_between_floor_and_cap(
        smoothed: bool,
        base in 0.0..10.0_f64,
        floor in 0.0..5.0_f64,
        more in 0.0..100.0_f64,
        seed: u64,
    ) {
        let jitter = if smoothed { Jitter::SmoothedDecorrelated } else { Jitter::Decorrelated };
        let span = Duration::from_secs_f64;
        let (low, high) = (span(floor), span(base.max(floor) + more));
        let policy = builder()
            .unlimited_attempts()
            .base_delay(span(base))
            .min_delay(low)
            .max_delay(high)
            .jitter(jitter)
            .seed(seed)
            .build()
            .unwrap();

        let just = Duration::from_nanos(1);
        for delay in policy.schedule().take(1_100) {
            prop_assert!(delay + just >= low && delay <= high + just, "{delay:?}");
        }
    }
}
