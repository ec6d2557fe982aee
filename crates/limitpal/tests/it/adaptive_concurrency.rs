//! Adaptive limits of calls in flight: places, and what moves the limit.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod laws;
mod mechanism;
mod partitions;
mod service;

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limitpal::AdaptiveAlgorithm::{self, Aimd, Gradient2, Vegas};
use limitpal::{AdaptiveConcurrency, AdaptivePermit, MockClock};

const MILLISECOND: Duration = Duration::from_millis(1);
const ALL: [AdaptiveAlgorithm; 3] = [Gradient2, Vegas, Aimd];

fn limiter(algorithm: AdaptiveAlgorithm, initial: u32) -> (AdaptiveConcurrency, MockClock) {
    let clock = MockClock::new();
    let builder = AdaptiveConcurrency::builder().algorithm(algorithm).initial(initial).seed(7);
    (builder.clock(&clock).build().unwrap(), clock)
}

/// Takes all places, lets some time pass, and ends the calls.
fn round(
    limiter: &AdaptiveConcurrency,
    clock: &MockClock,
    took: Duration,
    end: fn(AdaptivePermit),
) {
    let permits: Vec<_> = std::iter::from_fn(|| limiter.try_acquire()).collect();
    clock.advance(took);
    permits.into_iter().for_each(end);
}

#[test]
fn as_many_are_in_flight_as_the_limit_and_no_more() {
    for algorithm in ALL {
        let (limiter, _clock) = limiter(algorithm, 3);

        let permits: Vec<_> = (0..3).map(|_| limiter.try_acquire().unwrap()).collect();

        assert!(limiter.try_acquire().is_none());
        assert_eq!((3, 3), (limiter.in_flight(), limiter.limit()));
        drop(permits);
        assert_eq!(0, limiter.in_flight());
    }
}

#[test]
fn every_end_gives_the_place_back_once() {
    let ends: [fn(AdaptivePermit); 4] =
        [AdaptivePermit::success, AdaptivePermit::dropped, AdaptivePermit::ignore, drop];
    for end in ends {
        let (limiter, _clock) = limiter(Gradient2, 2);
        let first = limiter.try_acquire().unwrap();
        let _second = limiter.try_acquire().unwrap();

        end(first);

        assert_eq!(1, limiter.in_flight());
    }
}

#[test]
fn a_permit_moves_into_another_thread() {
    let (limiter, _clock) = limiter(Gradient2, 2);
    let permit = limiter.try_acquire().unwrap();

    std::thread::spawn(move || permit.success()).join().unwrap();

    assert_eq!(0, limiter.in_flight());
}

#[test]
fn the_limit_grows_while_latency_stays() {
    for algorithm in ALL {
        let (limiter, clock) = limiter(algorithm, 20);

        (0..20).for_each(|_| round(&limiter, &clock, 50 * MILLISECOND, AdaptivePermit::success));

        assert!(limiter.limit() > 30, "{algorithm:?}: {}", limiter.limit());
    }
}

#[test]
fn the_limit_falls_where_latency_rises() {
    for algorithm in [Gradient2, Vegas] {
        let (limiter, clock) = limiter(algorithm, 100);
        (0..3).for_each(|_| round(&limiter, &clock, 50 * MILLISECOND, AdaptivePermit::success));
        let before = limiter.limit();

        (0..5).for_each(|_| round(&limiter, &clock, 200 * MILLISECOND, AdaptivePermit::success));

        assert!(limiter.limit() < before, "{algorithm:?}: {before} to {}", limiter.limit());
    }
}

#[test]
fn the_formulas_are_those_of_the_docs() {
    // One round: a latency seen for the first time is the average and the lowest.
    for (algorithm, grown) in [(Gradient2, 100), (Vegas, 112), (Aimd, 101)] {
        let (limiter, clock) = limiter(algorithm, 100);

        round(&limiter, &clock, 50 * MILLISECOND, AdaptivePermit::success);

        assert_eq!(grown, limiter.limit(), "{algorithm:?}");
    }
    for (algorithm, shrunk) in [(Gradient2, 90), (Vegas, 98), (Aimd, 90)] {
        let (limiter, clock) = limiter(algorithm, 100);

        round(&limiter, &clock, 50 * MILLISECOND, AdaptivePermit::dropped);

        assert_eq!(shrunk, limiter.limit(), "{algorithm:?}");
    }
}

#[test]
fn gradient2_falls_by_the_gradient() {
    let (limiter, clock) = limiter(Gradient2, 100);
    round(&limiter, &clock, 100 * MILLISECOND, AdaptivePermit::success);
    assert_eq!(100, limiter.limit(), "100.8");

    round(&limiter, &clock, 300 * MILLISECOND, AdaptivePermit::success);

    // long = 200 ms, gradient = 1.5 * 200 / 300 = 1.
    assert_eq!(101, limiter.limit(), "101.6");
    round(&limiter, &clock, 1000 * MILLISECOND, AdaptivePermit::success);

    // long = 466.7 ms, gradient = 0.7; 0.8 * 101.6 + 0.2 * (0.7 * 101.6 + 4) = 96.3.
    assert_eq!(96, limiter.limit());
}

#[test]
fn a_limit_that_is_not_half_used_stays_and_one_that_is_not_a_fifth_used_comes_down() {
    for algorithm in ALL {
        for (used, stays) in [(40, true), (20, true), (19, false), (1, false)] {
            let (limiter, clock) = limiter(algorithm, 100);

            for _ in 0..200 {
                let permits: Vec<_> = (0..used).map(|_| limiter.try_acquire().unwrap()).collect();
                clock.advance(50 * MILLISECOND);
                permits.into_iter().for_each(AdaptivePermit::success);
            }

            let limit = limiter.limit();
            assert_eq!(stays, limit == 100, "{algorithm:?}, {used} used: {limit}");
        }
    }
}

#[test]
fn the_bounds_hold() {
    for algorithm in ALL {
        let clock = MockClock::new();
        let builder = AdaptiveConcurrency::builder().algorithm(algorithm).min(5).max(30);
        let limiter = builder.clock(&clock).build().unwrap();

        (0..100).for_each(|_| round(&limiter, &clock, MILLISECOND, AdaptivePermit::success));
        assert_eq!(30, limiter.limit());
        (0..100).for_each(|_| round(&limiter, &clock, MILLISECOND, AdaptivePermit::dropped));

        assert_eq!(5, limiter.limit());
    }
}

#[test]
fn what_took_no_time_or_was_ignored_tells_nothing() {
    for algorithm in ALL {
        let (limiter, clock) = limiter(algorithm, 20);

        (0..50).for_each(|_| round(&limiter, &clock, Duration::ZERO, AdaptivePermit::success));
        (0..50).for_each(|_| round(&limiter, &clock, MILLISECOND, AdaptivePermit::ignore));

        assert_eq!(20, limiter.limit());
    }
}

#[test]
fn threads_never_have_more_in_flight_than_the_limit() {
    let (limiter, _clock) = limiter(Aimd, 3);
    let (out, most, start) = (AtomicU32::new(0), AtomicU32::new(0), Barrier::new(8));

    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..2000 {
                    let Some(permit) = limiter.try_acquire() else { continue };
                    most.fetch_max(1 + out.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    out.fetch_sub(1, Ordering::SeqCst);
                    permit.ignore();
                }
            });
        }
    });

    assert!(most.into_inner() <= 3);
    assert_eq!(0, limiter.in_flight());
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_by_name() {
    let builder = AdaptiveConcurrency::builder;
    let refusals = [
        (builder().min(0), "min is 0; give a whole number of at least 1"),
        (builder().min(9).max(8), "max is 8; give a whole number of at least min (9)"),
        (builder().max(0), "max is 0; give a whole number of at least min (1)"),
        (builder().initial(201), "initial is 201; give a whole number from min (1) to max (200)"),
        (
            builder().min(5).initial(4),
            "initial is 4; give a whole number from min (5) to max (200)",
        ),
    ];
    for (builder, message) in refusals {
        assert_eq!(message, builder.build().unwrap_err().to_string());
    }
}

#[test]
fn without_an_initial_limit_it_is_the_bound_nearest_to_twenty() {
    let builder = AdaptiveConcurrency::builder;
    let limit = |builder: limitpal::AdaptiveConcurrencyBuilder| builder.build().unwrap().limit();

    assert_eq!([20, 5, 50], [builder(), builder().max(5), builder().min(50)].map(limit));
}

#[test]
fn debug_shows_what_was_built() {
    let (limiter, _clock) = limiter(Vegas, 9);
    let permit = limiter.try_acquire().unwrap();

    let text = format!("{limiter:?} {permit:?}");

    for part in ["algorithm: Vegas", "min: 1", "max: 200", "limit: 9", "in_flight: 1", "Permit {"] {
        assert!(text.contains(part), "{text}");
    }
}
