//! However many wait, what one of them does takes a number of steps that grows with the logarithm.

use std::num::NonZeroU64;
use std::time::Duration;

use super::{KEY, read};
use crate::algorithm::{Bucket, Pace};
use crate::rate::Rate;
use crate::store::{Grant, Place, Request, Scope, Store, StoreOptions, Turn};
use crate::time::Instant;
use crate::waiting::steps;

/// Whole and awkward rates, paces that round and that do not.
fn buckets() -> [Bucket; 4] {
    let bucket = |capacity, per_second, pace| {
        Bucket::new(capacity, Rate::per_second(per_second).unwrap(), pace).unwrap()
    };
    [
        bucket(1, 7.0, Pace::Burst),
        bucket(4, 3.0, Pace::Burst),
        bucket(4, 3.0, Pace::Even),
        bucket(4, 5.0, Pace::Even),
    ]
}

/// Those who wait for one bucket.
struct Crowd {
    store: Store,
    now: Instant,
    random: fastrand::Rng,
    places: Vec<Place>,
    grants: Vec<Grant>,
    /// Whether they wait in several lines in turn; then some come again who came long ago.
    ticketed: bool,
    steps: Vec<u64>,
}

impl Crowd {
    /// Makes one of so many.
    fn new(bucket: Bucket, waiters: usize, ticketed: bool) -> Self {
        let scope = Scope { one_bucket: false, steady_clock: true };
        let store = Store::new(bucket, StoreOptions::default(), scope).unwrap();
        let (random, now) = (fastrand::Rng::with_seed(7), Instant::ZERO);
        let (places, grants, steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut crowd = Self { store, now, random, places, grants, ticketed, steps };
        while crowd.places.len() < waiters {
            crowd.come(crowd.places.len() + 1);
        }
        crowd
    }

    fn counted<T>(&mut self, work: impl FnOnce(&Store, Instant) -> T) -> T {
        let mut done = None;
        self.steps.push(steps::during(|| done = Some(work(&self.store, self.now))));
        done.expect("it has been done")
    }

    fn come(&mut self, ticket: usize) {
        let cost = *self.random.choice(&[1, 1, 2, 1, 3]).expect("there are some");
        let cost = cost.min(self.store.bucket().capacity().into());
        let ticket = NonZeroU64::new(ticket as u64).filter(|_| self.ticketed);
        let request = Request { cost, timeout: None, fixed: false, ticket };
        match self.counted(|store, now| store.reserve(KEY, request, read(now)).unwrap()) {
            Turn::Now(grant) => self.grants.push(grant),
            Turn::Wait(place, _) => {
                self.places.push(place);
                self.arm(place);
            }
            Turn::Refused(_) => unreachable!("the capacity holds it"),
        }
    }

    fn arm(&mut self, place: Place) {
        let waker = std::task::Waker::noop().clone();
        self.counted(|store, now| store.arm(place, waker, read(now)).unwrap());
    }

    /// Somebody looks whether it is time: goes if it is, else sleeps anew. Returns when it will be.
    fn claim(&mut self, index: usize) -> Instant {
        let place = self.places[index];
        match self.counted(|store, now| store.claim(place, read(now)).unwrap()) {
            Ok(grant) => {
                self.places.remove(index);
                self.grants.push(grant);
                self.now
            }
            Err(pending) => {
                self.arm(place);
                pending.due
            }
        }
    }

    fn leave(&mut self, index: usize) {
        let place = self.places.remove(index);
        self.counted(|store, now| store.leave(place, Some(now)));
    }

    fn give_back(&mut self) {
        if let Some(grant) = self.grants.pop() {
            self.counted(|store, now| store.give_back(grant, Some(now)));
        }
    }

    /// Lets all that happens to a line happen to it, one thing after the other.
    fn live(&mut self) {
        self.steps.clear();
        for _ in 0..2_000 {
            self.now = self.now + Duration::from_millis(self.random.u64(..80));
            let somebody = self.random.usize(..self.places.len());
            match self.random.u8(..6) {
                0 | 1 => self.come(1_000_000 - 2 * somebody),
                2 => drop(self.claim(somebody)),
                3 => self.leave(somebody),
                4 => {
                    self.now = self.claim(0);
                    self.claim(0);
                }
                _ => self.give_back(),
            }
        }
    }

    /// Holds the steps so far against the logarithm: on average, as one may do at once what need
    /// not be done for others then.
    fn check(&self, what: &str, waiters: usize) {
        let (doublings, count) = (u64::from(waiters.ilog2()), self.steps.len() as u64);
        let mean = self.steps.iter().sum::<u64>() / count;
        let bucket = self.store.bucket();
        assert!(mean < 45 * doublings, "{what}, {waiters} wait, {bucket:?}: {mean} steps");
    }

    fn check_each(&self, what: &str, waiters: usize) {
        let most = self.steps.iter().max().expect("something has been done");
        let (doublings, bucket) = (u64::from(waiters.ilog2()), self.store.bucket());
        assert!(*most < 150 * doublings, "{what}, {waiters} wait, {bucket:?}: {most} steps");
        self.check(what, waiters);
    }
}

#[test]
fn what_one_of_many_does_takes_steps_like_the_logarithm_of_the_line() {
    for bucket in buckets() {
        for waiters in [1_000, 10_000, 100_000] {
            let mut crowd = Crowd::new(bucket, waiters, false);
            crowd.live();
            crowd.check_each("a line", waiters);
        }
    }
}

#[test]
fn who_waits_in_several_lines_in_turn_takes_as_few() {
    for bucket in buckets() {
        let mut crowd = Crowd::new(bucket, 10_000, true);
        crowd.live();
        crowd.check_each("tickets", 10_000);
    }
}

#[test]
fn a_crowd_that_leaves_at_once_takes_as_few_whatever_the_order() {
    let orders: [fn(&mut Crowd) -> usize; 3] =
        [|_| 0, |crowd| crowd.places.len() - 1, |crowd| crowd.random.usize(..crowd.places.len())];
    for bucket in buckets() {
        for (order, overdue) in [(0, 0), (0, 900), (1, 0), (1, 900), (2, 0), (2, 900)] {
            let mut crowd = Crowd::new(bucket, 10_000, false);
            crowd.now = crowd.now + Duration::from_secs(overdue);
            while !crowd.places.is_empty() {
                let next = orders[order](&mut crowd);
                crowd.leave(next);
            }
            crowd.steps.drain(..20_000);
            crowd.check("leaving", 10_000);
        }
    }
}
