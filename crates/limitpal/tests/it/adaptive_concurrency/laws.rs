//! What holds for every history of an adaptive limit.

use std::time::Duration;

use limitpal::parts::{Adaptive, AdaptiveSettings};
use limitpal::{AdaptiveAlgorithm, AdaptivePermit};
use proptest::prelude::*;

use super::{ALL, limiter};

pub(super) fn algorithm() -> impl Strategy<Value = AdaptiveAlgorithm> {
    prop::sample::select(&ALL[..])
}

/// What can happen to a limiter.
#[derive(Clone, Copy, Debug)]
enum Event {
    Acquire,
    /// A call in flight ends, counted from the oldest: well, dropped, or ignored.
    End(usize, Option<bool>),
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => Just(Event::Acquire),
        5 => (0_usize..30, any::<Option<bool>>()).prop_map(|(call, how)| Event::End(call, how)),
        2 => (0..200_000_000_u64).prop_map(Event::Advance),
    ]
}

proptest! {
    /// A place is taken only below the limit, given back once, and the limit keeps its bounds.
    #[test]
    fn in_flight_is_what_was_taken_and_not_given_back(
        events in prop::collection::vec(event(), 0..400),
        algorithm in algorithm(),
    ) {
        let (limiter, clock) = limiter(algorithm, 4);
        let mut permits: Vec<AdaptivePermit> = Vec::new();

        for event in events {
            match event {
                Event::Acquire => {
                    let is_free = limiter.in_flight() < limiter.limit();
                    let taken = limiter.try_acquire();
                    prop_assert_eq!(is_free, taken.is_some());
                    permits.extend(taken);
                }
                Event::End(call, how) if call < permits.len() => match (permits.remove(call), how) {
                    (permit, Some(true)) => permit.success(),
                    (permit, Some(false)) => permit.dropped(),
                    (permit, None) => permit.ignore(),
                },
                Event::End(..) => {}
                Event::Advance(nanos) => clock.advance(Duration::from_nanos(nanos)),
            }
            prop_assert_eq!(permits.len(), limiter.in_flight() as usize);
            prop_assert!((1..=200).contains(&limiter.limit()));
        }
    }

    /// Those that fail fast look like low latency to whoever counts them as calls.
    #[test]
    fn failures_and_refusals_never_raise_a_limit(
        calls in prop::collection::vec((1_u64..100_000_000, 1_u32..200, any::<bool>()), 0..400),
        algorithm in algorithm(),
        initial in 1_u32..=200,
    ) {
        let (limiter, clock) = limiter(algorithm, initial);
        // Some good calls, too few to move it, are in the same round.
        for (nanos, _, _) in calls.iter().take(9.min(initial as usize)) {
            let permit = limiter.try_acquire().unwrap();
            clock.advance(Duration::from_nanos(*nanos));
            permit.success();
        }
        let mut before = limiter.limit();
        for (nanos, refused, is_dropped) in calls {
            let permit = limiter.try_acquire().unwrap();
            let others: Vec<_> = std::iter::from_fn(|| limiter.try_acquire()).collect();
            (0..refused).for_each(|_| assert!(limiter.try_acquire().is_none()));
            clock.advance(Duration::from_nanos(nanos));
            if is_dropped { permit.dropped() } else { permit.ignore() }
            drop(others);
            prop_assert!(limiter.limit() <= before, "{} to {}", before, limiter.limit());
            before = limiter.limit();
        }
    }

    /// Whatever it is told, the pure mechanism stays a number between its bounds.
    #[test]
    fn a_limit_stays_between_its_bounds(
        samples in prop::collection::vec((any::<u64>(), any::<u32>(), 0_u32..20), 0..500),
        algorithm in algorithm(),
    ) {
        let settings = AdaptiveSettings::new(algorithm, (3, 50), None).unwrap();
        let mut adaptive = Adaptive::new(settings, Some(7));

        for (nanos, in_flight, drop) in samples {
            let limit = adaptive.sample(Duration::from_nanos(nanos), in_flight, drop == 0);

            prop_assert!((3..=50).contains(&limit), "{}", limit);
        }
    }
}
