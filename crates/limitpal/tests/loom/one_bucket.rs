//! The word of the only bucket: takes without a lock against each other, and against those that
//! go through the lock. No permit is lost, and none is there twice.

use std::sync::Arc;

use limitpal::parts::{Algorithm, Fingerprint, Grant, Request, Store, StoreOptions, Turn};
use limitpal::{Carry, Limits};
use loom::thread::{self, JoinHandle};

use super::{at, instant, left, model, reserve, take};

const KEY: Fingerprint = Fingerprint::chosen(1, 0);

fn store(capacity: u32) -> Arc<Store> {
    super::store(capacity, StoreOptions::default(), true)
}

fn taking(store: &Arc<Store>, seconds: i64) -> JoinHandle<Option<Grant>> {
    let store = store.clone();
    thread::spawn(move || take(&store, KEY, seconds))
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the other thread did not panic")
}

fn give_back(store: &Store, grant: Grant) {
    store.give_back(grant, Some(instant(0)));
}

#[test]
fn takes_admit_what_the_bucket_holds() {
    model(|| {
        let store = store(2);
        let others = [taking(&store, 0), taking(&store, 0)];
        let own = take(&store, KEY, 0);
        let grants = others.map(joined).into_iter().chain([own]).flatten();

        assert_eq!(2, grants.count());
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, KEY, 1)));
    });
}

#[test]
fn a_take_and_a_check_admit_what_the_bucket_holds() {
    model(|| {
        let store = store(2);
        let others = [taking(&store, 0), taking(&store, 0)];
        let Ok(decision) = store.check(KEY, 1, at(0));
        let taken = others.map(joined).into_iter().flatten().count();

        assert_eq!(2, taken + usize::from(decision.allowed));
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, KEY, 1)));
    });
}

#[test]
fn who_only_looks_takes_nothing_and_loses_nothing() {
    model(|| {
        let store = store(2);
        let others = [taking(&store, 0), taking(&store, 0)];
        let seen = left(&store, KEY, 0);
        let taken = others.map(joined).into_iter().flatten().count();

        assert!(seen <= 2);
        assert_eq!((2, 0), (taken, left(&store, KEY, 0)));
    });
}

#[test]
fn a_batch_and_a_take_admit_what_the_bucket_holds() {
    model(|| {
        let store = store(2);
        let other = taking(&store, 0);
        let Ok(answers) = store.take_many(&[(KEY, 1), (KEY, 1)], |ask| *ask, at(0));
        let taken = usize::from(joined(other).is_some());

        assert_eq!(2, taken + answers.iter().filter(|allowed| **allowed).count());
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, KEY, 1)));
    });
}

#[test]
fn a_permit_given_back_is_there_once() {
    model(|| {
        let store = store(1);
        let grant = take(&store, KEY, 0).expect("it is full");
        let others = [taking(&store, 0), taking(&store, 0)];
        give_back(&store, grant);
        let taken = others.map(joined).into_iter().flatten().count() as u32;

        assert!(taken <= 1);
        assert_eq!(1 - taken, left(&store, KEY, 0));
    });
}

#[test]
fn giving_back_takes_no_permit_from_others() {
    model(|| {
        let store = store(3);
        let grant = take(&store, KEY, 0).expect("it is full");
        let others = [taking(&store, 0), taking(&store, 0)];
        give_back(&store, grant);
        let taken = others.map(joined).into_iter().flatten().count();

        assert_eq!((2, 1), (taken, left(&store, KEY, 0)));
    });
}

#[test]
fn two_that_give_back_take_nothing_from_a_third() {
    model(|| {
        let store = store(3);
        let grants = [(); 3].map(|()| take(&store, KEY, 0).expect("it is full"));
        let [first, _, last] = grants;
        let shared = store.clone();
        let other = thread::spawn(move || give_back(&shared, last));
        give_back(&store, first);
        joined(other);

        // The one on top lies where it was told; the one below may not any more.
        let left = left(&store, KEY, 0);
        assert!((1..=2).contains(&left), "{left} are left");
    });
}

#[test]
fn a_reset_leaves_a_full_bucket_but_for_later_takes() {
    model(|| {
        let store = store(2);
        let before = take(&store, KEY, 0).expect("it is full");
        let other = taking(&store, 0);
        let Ok(()) = store.reset(KEY, at(0));
        // What was taken before is void.
        give_back(&store, before);
        let grant = joined(other).expect("one is left at any time");

        let taken = 2 - left(&store, KEY, 0);
        assert!(taken <= 1);
        // Given back, whichever side of the reset it was taken on, it leaves a full bucket.
        give_back(&store, grant);
        assert_eq!(2, left(&store, KEY, 0));
    });
}

#[test]
fn one_who_waits_and_leaves_takes_nothing() {
    model(|| {
        let store = store(1);
        take(&store, KEY, 0).expect("it is full");
        let other = taking(&store, 1);
        let Turn::Wait(place, _) = reserve(&store, KEY, 0) else { panic!("it is empty") };
        store.leave(place, Some(instant(1)));
        let taken = u32::from(joined(other).is_some());

        assert_eq!(1 - taken, left(&store, KEY, 1));
    });
}

#[test]
fn two_who_come_to_wait_stand_one_behind_the_other() {
    model(|| {
        let store = store(1);
        take(&store, KEY, 0).expect("it is full");
        let shared = store.clone();
        let other = thread::spawn(move || reserve(&shared, KEY, 0));
        let turns = [reserve(&store, KEY, 0), joined(other)];
        let [mut one, mut another] = turns.map(|turn| match turn {
            Turn::Wait(place, wait) => (wait.as_secs(), place),
            Turn::Now(_) | Turn::Refused(_) => panic!("it waits"),
        });
        if one.0 > another.0 {
            std::mem::swap(&mut one, &mut another);
        }
        assert_eq!((1, 2), (one.0, another.0));

        // As if neither had come.
        let shared = store.clone();
        let other = thread::spawn(move || shared.leave(another.1, Some(instant(0))));
        store.leave(one.1, Some(instant(0)));
        joined(other);
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, KEY, 1)));
        assert!(take(&store, KEY, 1).is_some());
    });
}

#[test]
fn a_turn_left_before_one_who_cannot_be_moved_goes_to_one_take() {
    model(|| {
        let store = store(1);
        take(&store, KEY, 0).expect("it is full");
        let wait = |fixed| {
            let request = Request { cost: 1, timeout: None, fixed, ticket: None };
            let Ok(Turn::Wait(place, _)) = store.reserve(KEY, request, at(0)) else {
                panic!("it is empty");
            };
            place
        };
        let (first, fixed) = (wait(false), wait(true));
        let other = taking(&store, 1);
        store.leave(first, Some(instant(1)));
        let early = joined(other).is_some();

        assert_ne!(early, take(&store, KEY, 1).is_some());
        store.arrived(fixed, Some(instant(2))).unwrap();
        assert_eq!((0, 1), (left(&store, KEY, 2), left(&store, KEY, 3)));
    });
}

#[test]
fn while_somebody_waits_all_takes_see_the_turn() {
    model(|| {
        let store = store(1);
        take(&store, KEY, 0).expect("it is full");
        let Turn::Wait(place, _) = reserve(&store, KEY, 0) else { panic!("it is empty") };
        let other = taking(&store, 1);
        let Ok(claimed) = store.claim(place, at(1));

        assert!(claimed.is_ok(), "its time has come");
        assert!(joined(other).is_none(), "the permit was granted already");
        assert!(take(&store, KEY, 2).is_some());
        assert!(take(&store, KEY, 2).is_none());
    });
}

#[test]
fn a_key_that_is_closed_admits_only_who_came_before() {
    model(|| {
        let store = store(2);
        let other = taking(&store, 0);
        let Ok(closed) = store.penalise(KEY, std::time::Duration::from_secs(5), at(0));
        assert!(closed);
        assert!(take(&store, KEY, 4).is_none());
        let taken = u32::from(joined(other).is_some());

        assert_eq!(2, left(&store, KEY, 5), "it has refilled after {taken}");
    });
}

#[test]
fn a_change_of_limits_loses_no_permit_and_doubles_none() {
    model(|| {
        let store = store(2);
        let other = taking(&store, 0);
        let own = take(&store, KEY, 0);
        let more = Limits::some(Some(3), None, None);
        let Ok(changed) = store.reconfigure(|bucket| bucket.changed(&more), Carry::AsIs, at(0));
        changed.expect("they make sense");
        let taken = u32::from(own.is_some()) + u32::from(joined(other).is_some());

        assert_eq!((2, 0), (taken, left(&store, KEY, 0)));
    });
}
