//! The pure mechanism: when its guards tell that more calls in flight only queue.

use std::time::Duration;

use limitpal::AdaptiveAlgorithm::{self, Aimd, Gradient2, Vegas};
use limitpal::parts::{Adaptive, AdaptiveSettings};

/// Ten rounds: the calls in flight, and the throughput in calls a second.
type Rounds = [(u32, f64); 10];

/// Throughput is lower with more calls, while latency has no pattern.
const FALLING: Rounds = [
    (200, 200.0),
    (200, 200.0),
    (200, 200.0),
    (200, 200.0),
    (200, 100.0),
    (220, 220.0),
    (220, 157.0),
    (220, 137.0),
    (220, 147.0),
    (220, 220.0),
];
/// Throughput varies and does not follow the calls in flight; latency does.
const LOOSE: Rounds = [
    (200, 200.0),
    (200, 200.0),
    (200, 200.0),
    (200, 333.0),
    (200, 133.0),
    (400, 200.0),
    (400, 307.0),
    (400, 200.0),
    (400, 133.0),
    (400, 250.0),
];
/// Throughput is level and follows a little; latency follows.
const LEVEL: Rounds = [
    (200, 180.0),
    (200, 220.0),
    (200, 200.0),
    (200, 190.0),
    (200, 210.0),
    (400, 200.0),
    (400, 240.0),
    (400, 220.0),
    (400, 210.0),
    (400, 200.0),
];
/// Throughput follows the calls in flight.
const PAYING: Rounds = [
    (200, 200.0),
    (210, 211.0),
    (220, 219.0),
    (230, 230.0),
    (240, 242.0),
    (250, 249.0),
    (260, 260.0),
    (270, 270.0),
    (280, 279.0),
    (290, 290.0),
];

fn adaptive(algorithm: AdaptiveAlgorithm, initial: u32) -> Adaptive {
    let settings = AdaptiveSettings::new(algorithm, (1, 1000), Some(initial)).unwrap();
    Adaptive::new(settings, Some(7))
}

/// Lives through one round.
fn round(adaptive: &mut Adaptive, in_flight: u32, latency: f64) -> u32 {
    for _ in 0..adaptive.limit() {
        adaptive.sample(Duration::from_secs_f64(latency), in_flight, false);
    }
    adaptive.limit()
}

/// Returns by how much the tenth of ten rounds moves the limit.
fn tenth(algorithm: AdaptiveAlgorithm, initial: u32, rounds: &Rounds) -> i64 {
    let mut adaptive = adaptive(algorithm, initial);
    let mut limits = vec![];
    for (in_flight, throughput) in *rounds {
        limits.push(i64::from(round(&mut adaptive, in_flight, f64::from(in_flight) / throughput)));
    }
    limits[9] - limits[8]
}

#[test]
fn more_calls_that_only_queue_take_a_step_off_the_limit() {
    for (story, rounds) in [("falling", &FALLING), ("loose", &LOOSE), ("level", &LEVEL)] {
        let moved = tenth(Gradient2, 110, rounds);

        assert!((-3..=-2).contains(&moved), "{story}: {moved}, and log10 of the limit is 2");
    }
}

#[test]
fn more_calls_that_pay_raise_the_limit() {
    for (algorithm, most) in [(Gradient2, 1), (Vegas, 12), (Aimd, 1)] {
        let moved = tenth(algorithm, 110, &PAYING);

        assert!((0..=most).contains(&moved), "{algorithm:?}: {moved}");
    }
}

#[test]
fn a_limit_that_is_not_reached_is_not_to_blame() {
    // The calls in flight of the tenth round are more than half of these limits, and fewer.
    for (initial, rounds) in [(420, &FALLING), (700, &LOOSE), (700, &LEVEL)] {
        let moved = tenth(Gradient2, initial, rounds);

        assert!(moved >= 0, "{moved}");
    }
}

#[test]
fn aimd_does_not_look_at_latencies() {
    for rounds in [&FALLING, &LOOSE, &LEVEL] {
        assert_eq!(1, tenth(Aimd, 110, rounds));
    }
}

#[test]
fn gradient2_forgets_an_overload_sooner_than_its_average() {
    let mut adaptive = adaptive(Gradient2, 100);
    // As many in flight all the time, so that the guards have nothing to compare.
    for _ in 0..10 {
        round(&mut adaptive, 500, 1.0);
    }
    for _ in 0..60 {
        round(&mut adaptive, 500, 0.1);
    }
    let before = adaptive.limit();

    let after = round(&mut adaptive, 500, 0.4);

    assert!(after < before, "0.4 s is far above 0.1 s: {before} to {after}");
}
