//! A crowd that waits for one key, and how many steps each thing takes that one of it does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::num::NonZeroU64;
use std::time::Duration;

use super::stored::Stored;
use super::{Fingerprint, Grant, Place, Request, Scope, Store, StoreOptions, Turn};
use crate::time::Instant;
use crate::waiting::steps;

const KEY: Fingerprint = Fingerprint::chosen(7, 7);

fn read(now: Instant) -> impl FnMut() -> Result<Instant, ()> {
    move || Ok(now)
}

/// Those who wait for one key.
pub(super) struct Crowd<A: Stored> {
    store: Store<A>,
    /// What they ask for.
    costs: &'static [u64],
    pub(super) now: Instant,
    pub(super) random: fastrand::Rng,
    pub(super) places: Vec<Place>,
    grants: Vec<Grant>,
    /// Whether they wait in several lines in turn; then some come again who came long ago.
    ticketed: bool,
    pub(super) steps: Vec<u64>,
}

impl<A: Stored> Crowd<A> {
    /// Makes one of so many.
    pub(super) fn new(bucket: A, costs: &'static [u64], waiters: usize, ticketed: bool) -> Self {
        let scope = Scope { one_bucket: false, steady_clock: true };
        let store = Store::new(bucket, StoreOptions::default(), scope).unwrap();
        let (random, now) = (fastrand::Rng::with_seed(7), Instant::ZERO);
        let (places, grants, steps) = (Vec::new(), Vec::new(), Vec::new());
        let mut crowd = Self { store, costs, now, random, places, grants, ticketed, steps };
        while crowd.places.len() < waiters {
            crowd.come(crowd.places.len() + 1);
        }
        crowd
    }

    fn counted<T>(&mut self, work: impl FnOnce(&Store<A>, Instant) -> T) -> T {
        let mut done = None;
        self.steps.push(steps::during(|| done = Some(work(&self.store, self.now))));
        done.expect("it has been done")
    }

    fn come(&mut self, ticket: usize) {
        let cost = *self.random.choice(self.costs).expect("there are some");
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

    pub(super) fn leave(&mut self, index: usize) {
        let place = self.places.remove(index);
        self.counted(|store, now| store.leave(place, Some(now)));
    }

    fn give_back(&mut self) {
        if let Some(grant) = self.grants.pop() {
            self.counted(|store, now| store.give_back(grant, Some(now)));
        }
    }

    /// Lets all that happens to a line happen to it, one thing after the other.
    pub(super) fn live(&mut self) {
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
    pub(super) fn check(&self, what: &str, waiters: usize) {
        let (doublings, count) = (u64::from(waiters.ilog2()), self.steps.len() as u64);
        let mean = self.steps.iter().sum::<u64>() / count;
        let bucket = self.store.bucket();
        assert!(mean < 45 * doublings, "{what}, {waiters} wait, {bucket:?}: {mean} steps");
    }

    pub(super) fn check_each(&self, what: &str, waiters: usize) {
        let most = self.steps.iter().max().expect("something has been done");
        let (doublings, bucket) = (u64::from(waiters.ilog2()), self.store.bucket());
        assert!(*most < 150 * doublings, "{what}, {waiters} wait, {bucket:?}: {most} steps");
        self.check(what, waiters);
    }
}
