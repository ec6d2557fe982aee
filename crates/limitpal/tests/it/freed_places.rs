//! A place of several permits that one has left before a sleeper that cannot be moved.

use std::convert::Infallible;
use std::time::Duration;

use limitpal::parts::{
    Bucket, Fingerprint, Grant, Keyed, KeyedOptions, Pace, Place, Request, Turn,
};
use limitpal::{MockClock, Rate, SharedClock};

struct Line {
    clock: MockClock,
    keyed: Keyed<SharedClock>,
    key: Fingerprint,
}

impl Line {
    /// An empty bucket of four, a place of four that was left, and a sleeper behind it.
    fn new() -> Self {
        let clock = MockClock::new();
        let bucket = Bucket::new(4, Rate::per_second(1.0).unwrap(), Pace::Burst).unwrap();
        let keyed = Keyed::new(bucket, KeyedOptions::default(), clock.clone().into()).unwrap();
        let Ok(key) = keyed.fingerprint("ann");
        let line = Self { clock, keyed, key };
        assert_eq!(Ok(true), line.keyed.allow(key, 4));
        let left = line.wait(4, 4);
        line.wait(1, 5);
        line.keyed.store().leave(left, Some(line.clock.now()));
        line
    }

    fn reserve(&self, cost: u64, timeout: Option<Duration>) -> Turn<Grant> {
        let request = Request { cost, timeout, fixed: true, ticket: None };
        let read = || Ok::<_, Infallible>(self.clock.now());
        let Ok(turn) = self.keyed.store().reserve(self.key, request, read);
        turn
    }

    fn wait(&self, cost: u64, seconds: u64) -> Place {
        let Turn::Wait(place, wait) = self.reserve(cost, None) else { panic!("nothing is left") };
        assert_eq!(Duration::from_secs(seconds), wait);
        place
    }
}

#[test]
fn is_taken_one_by_one_by_those_who_do_not_wait() {
    let line = Line::new();
    line.clock.advance(Duration::from_secs(4));
    let allowed: Vec<_> = (0..5).map(|_| line.keyed.allow(line.key, 1)).collect();

    assert_eq!([Ok(true), Ok(true), Ok(true), Ok(true), Ok(false)], allowed[..]);
}

#[test]
fn is_taken_one_by_one_by_those_who_would() {
    let line = Line::new();
    line.clock.advance(Duration::from_secs(4));
    let at_once = || matches!(line.reserve(1, Some(Duration::ZERO)), Turn::Now(_));

    assert_eq!([true, true, true, true, false], std::array::from_fn(|_| at_once()));
}

#[test]
fn gives_no_more_than_flows_in() {
    let line = Line::new();
    let mut taken = 0;
    for second in 1..=20 {
        line.clock.advance(Duration::from_secs(1));
        while line.keyed.allow(line.key, 1) == Ok(true) {
            taken += 1;
        }
        // Four were there to begin with, and one is for the sleeper.
        assert!(taken <= second, "{taken} after {second} seconds");
    }
    assert!(taken >= 15, "{taken} of 19");
}
