//! Classes of calls that share a limit: what each is guaranteed, and what it may borrow.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use limitpal::AdaptiveAlgorithm::Aimd;
use limitpal::{AdaptiveConcurrency, AdaptiveConcurrencyBuilder, AdaptivePermit, MockClock};
use proptest::prelude::*;

use super::laws::algorithm;

fn builder(limit: u32) -> AdaptiveConcurrencyBuilder {
    AdaptiveConcurrency::builder().initial(limit).clock(MockClock::new())
}

fn fill(limiter: &AdaptiveConcurrency, partition: &str) -> Vec<AdaptivePermit> {
    std::iter::from_fn(|| limiter.try_acquire_in(partition).unwrap()).collect()
}

#[test]
fn what_is_idle_is_lent_and_what_is_guaranteed_is_there_all_the_same() {
    let limiter = builder(10).partitions([("live", 0.7), ("batch", 0.3)]).build().unwrap();
    assert_eq!((7, 3), (limiter.places_of("live").unwrap(), limiter.places_of("batch").unwrap()));

    let mut batch = fill(&limiter, "batch");
    assert_eq!(10, batch.len(), "nobody else is there");
    let live = fill(&limiter, "live");
    assert_eq!((7, 17), (live.len(), limiter.in_flight()), "its share, and no more");

    // What was lent does not go back to whoever borrowed it.
    batch.truncate(3);
    assert_eq!(10, limiter.in_flight());
    assert!(limiter.try_acquire_in("batch").unwrap().is_none());
    batch.pop();
    assert_eq!(1, fill(&limiter, "batch").len());
    drop((live, batch));
    assert_eq!(0, limiter.in_flight());
}

#[test]
fn every_end_gives_a_place_back_to_its_class() {
    let ends: [fn(AdaptivePermit); 4] =
        [AdaptivePermit::success, AdaptivePermit::dropped, AdaptivePermit::ignore, drop];
    for end in ends {
        let limiter = builder(4).partitions([("live", 0.5), ("batch", 0.5)]).build().unwrap();
        let permits = (fill(&limiter, "batch"), limiter.try_acquire_in("live").unwrap());

        end(permits.1.unwrap());

        assert_eq!(0, limiter.in_flight_of("live").unwrap());
        assert_eq!((4, 4), (limiter.in_flight_of("batch").unwrap(), limiter.in_flight()));
    }
}

#[test]
fn who_is_of_no_class_has_what_nobody_has_taken() {
    let limiter = builder(2).partitions([("live", 1.0)]).build().unwrap();

    let any = limiter.try_acquire().expect("there is room");
    let live = fill(&limiter, "live");

    assert_eq!(2, live.len(), "its share, though one place was lent");
    assert!(limiter.try_acquire().is_none());
    drop(any);
    assert!(limiter.try_acquire().is_none(), "two of two");
}

#[test]
fn shares_are_rounded_up_and_float_dust_is_not() {
    let shares = [("a", 0.1), ("b", 0.2), ("c", 0.7)];
    let limiter = builder(30).partitions(shares).build().unwrap();
    let places = ["a", "b", "c"].map(|class| limiter.places_of(class).unwrap());
    assert_eq!([3, 6, 21], places);

    let limiter = builder(1).partitions([("a", 0.01), ("b", 0.99)]).build().unwrap();
    assert_eq!((1, 1), (limiter.places_of("a").unwrap(), limiter.places_of("b").unwrap()));
}

#[test]
fn nonsense_is_refused_by_name() {
    let refusal = |shares: &[(&str, f64)]| {
        builder(10).partitions(shares.iter().copied()).build().unwrap_err().to_string()
    };
    let cases: [(&[(&str, f64)], &str); 6] = [
        (&[], "partitions is empty; give each class its share, such as live 0.8 and batch 0.2"),
        (&[("a", 0.5), ("b", 0.4)], "partitions is 0.9 in all; give shares whose sum is 1"),
        (&[("a", 0.0), ("b", 1.0)], "partitions is 0 for \"a\"; give a share above 0, 1 at most"),
        (&[("a", f64::NAN)], "partitions is NaN for \"a\"; give a share above 0, 1 at most"),
        (&[("a", 2.0), ("b", -1.0)], "partitions is 2 for \"a\"; give a share above 0, 1 at most"),
        (&[("a", 0.5), ("a", 0.5)], "partitions is twice \"a\"; give each class once"),
    ];
    for (shares, message) in cases {
        assert_eq!(message, refusal(shares));
    }

    let limiter = builder(10).partitions([("live", 0.8), ("batch", 0.2)]).build().unwrap();
    let unknown = limiter.try_acquire_in("bacth").unwrap_err();
    assert_eq!("partition is \"bacth\"; give one of \"live\", \"batch\"", unknown.to_string());
    assert!(limiter.in_flight_of("bacth").is_err() && limiter.places_of("bacth").is_err());
    let none = builder(10).build().unwrap().try_acquire_in("live").unwrap_err();
    assert_eq!(
        "partition is \"live\"; leave it out, or make the limiter with partitions",
        none.to_string()
    );
}

const CLASSES: [&str; 3] = ["live", "batch", "test"];

/// What can happen: a call of a class, or of none, or one in flight ends, well or not.
#[derive(Clone, Copy, Debug)]
enum Event {
    Come(Option<usize>),
    End(usize, Option<bool>),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::option::of(0_usize..3).prop_map(Event::Come),
        2 => (0_usize..60, any::<Option<bool>>()).prop_map(|(call, how)| Event::End(call, how)),
    ]
}

proptest! {
    /// Whoever is within its share goes, whatever others do; beyond it while there is room.
    #[test]
    fn nobody_within_its_share_is_refused_and_nobody_beyond_it_fills_what_is_full(
        events in prop::collection::vec(event(), 1..300),
        cuts in (0.05..0.45_f64, 0.05..0.45_f64),
        limit in 1_u32..40,
        algorithm in algorithm(),
    ) {
        let clock = MockClock::new();
        let shares = [("live", cuts.0), ("batch", cuts.1), ("test", 1.0 - cuts.0 - cuts.1)];
        let limiter = AdaptiveConcurrency::builder().algorithm(algorithm).initial(limit).max(40);
        let limiter = limiter.seed(7).partitions(shares).clock(&clock).build().unwrap();
        let mut permits: Vec<(Option<usize>, AdaptivePermit)> = Vec::new();

        for event in events {
            let has_room = limiter.in_flight() < limiter.limit();
            match event {
                Event::Come(None) => {
                    let permit = limiter.try_acquire();
                    prop_assert_eq!(has_room, permit.is_some());
                    permits.extend(permit.map(|permit| (None, permit)));
                }
                Event::Come(Some(class)) => {
                    let name = CLASSES[class];
                    let is_within =
                        limiter.in_flight_of(name).unwrap() < limiter.places_of(name).unwrap();
                    let permit = limiter.try_acquire_in(name).unwrap();
                    prop_assert_eq!(has_room || is_within, permit.is_some());
                    permits.extend(permit.map(|permit| (Some(class), permit)));
                }
                Event::End(call, how) if call < permits.len() => {
                    clock.advance(Duration::from_millis(50));
                    let (_, permit) = permits.remove(call);
                    match how {
                        Some(true) => permit.success(),
                        Some(false) => permit.dropped(),
                        None => permit.ignore(),
                    }
                }
                Event::End(..) => {}
            }
            for (class, name) in CLASSES.into_iter().enumerate() {
                let own = permits.iter().filter(|(of, _)| *of == Some(class)).count();
                prop_assert_eq!(own, limiter.in_flight_of(name).unwrap() as usize);
            }
            prop_assert_eq!(permits.len(), limiter.in_flight() as usize);
        }
    }
}

#[test]
fn threads_of_a_class_within_its_share_are_never_refused() {
    let builder = builder(4).algorithm(Aimd).partitions([("live", 0.5), ("batch", 0.5)]);
    let limiter = builder.build().unwrap();
    let (refused, start) = (AtomicU32::new(0), Barrier::new(6));

    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (limiter, refused, start) = (&limiter, &refused, &start);
            scope.spawn(move || {
                start.wait();
                let class = if thread < 2 { "live" } else { "batch" };
                for _ in 0..3000 {
                    match limiter.try_acquire_in(class).unwrap() {
                        Some(permit) => permit.ignore(),
                        None if class == "live" => drop(refused.fetch_add(1, Ordering::Relaxed)),
                        None => {}
                    }
                }
            });
        }
    });

    assert_eq!(0, refused.into_inner());
    assert_eq!((0, 0), (limiter.in_flight(), limiter.in_flight_of("live").unwrap()));
}
