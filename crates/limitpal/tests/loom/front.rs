//! Places in front of the locks: takes there against each other, and against those that go through
//! the lock; keys that want one place. No permit is lost, none is there twice, and each is counted.
//!
//! In a model a shard has one place, and every key that is asked for gets it.

use std::sync::Arc;

use limitpal::parts::{Fingerprint, Store, StoreOptions, Turn};
use loom::thread::{self, JoinHandle};

use super::{at, left, model, model_within, reserve, take};

const KEY: Fingerprint = Fingerprint::chosen(1, 0);
/// One that has the same place.
const OTHER: Fingerprint = Fingerprint::chosen(2, 0);

/// Makes a store with a front, in which the key has a place and one permit less.
fn store(capacity: u32) -> Arc<Store> {
    let store = super::store(capacity, StoreOptions::default(), false);
    store.open_front();
    assert!(allow(&store, KEY, 0));
    store
}

fn allow(store: &Store, key: Fingerprint, seconds: i64) -> bool {
    let Ok(is_allowed) = store.allow(key, 1, at(seconds));
    is_allowed
}

fn allowing(store: &Arc<Store>, key: Fingerprint, seconds: i64) -> JoinHandle<bool> {
    let store = store.clone();
    thread::spawn(move || allow(&store, key, seconds))
}

fn joined(thread: JoinHandle<bool>) -> u32 {
    thread.join().expect("the other thread did not panic").into()
}

fn admitted(store: &Store, seconds: i64) -> u64 {
    let Ok(stats) = store.stats(at(seconds));
    stats.admitted
}

#[test]
fn takes_in_front_admit_what_the_bucket_holds() {
    model(|| {
        let store = store(3);
        let others = [allowing(&store, KEY, 0), allowing(&store, KEY, 0)];
        let own = u32::from(allow(&store, KEY, 0));

        assert_eq!(2, own + others.map(joined).iter().sum::<u32>());
        assert_eq!(3, admitted(&store, 0));
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, KEY, 1)));
    });
}

#[test]
fn a_take_under_the_lock_and_takes_in_front_admit_what_the_bucket_holds() {
    model(|| {
        let store = store(3);
        let others = [allowing(&store, KEY, 0), allowing(&store, KEY, 0)];
        let own = u32::from(take(&store, KEY, 0).is_some());

        assert_eq!(2, own + others.map(joined).iter().sum::<u32>());
        assert_eq!((3, 0), (admitted(&store, 0), left(&store, KEY, 0)));
    });
}

#[test]
fn who_counts_all_of_a_shard_loses_nobody() {
    model(|| {
        let store = store(4);
        let others = [allowing(&store, KEY, 0), allowing(&store, KEY, 0)];
        let seen = admitted(&store, 0);

        assert!((1..=3).contains(&seen));
        assert_eq!(2, others.map(joined).iter().sum::<u32>());
        assert_eq!((3, 1), (admitted(&store, 0), left(&store, KEY, 0)));
    });
}

#[test]
fn two_keys_that_want_one_place_each_have_what_is_theirs() {
    model_within(3, || {
        let store = store(3);
        // Both levels are the same now: only the number in the word tells them apart.
        assert!(allow(&store, OTHER, 0));
        let others = [allowing(&store, KEY, 0), allowing(&store, OTHER, 0)];
        let own = u32::from(allow(&store, KEY, 0));

        assert_eq!(3, own + others.map(joined).iter().sum::<u32>());
        assert_eq!(5, admitted(&store, 0));
        assert_eq!((0, 1), (left(&store, KEY, 0), left(&store, OTHER, 0)));
    });
}

#[test]
fn a_key_that_is_forgotten_is_as_new_or_has_taken_since() {
    model(|| {
        let store = store(2);
        let other = allowing(&store, KEY, 0);
        let Ok(()) = store.reset(KEY, at(0));

        assert_eq!(1, joined(other));
        assert!((1..=2).contains(&left(&store, KEY, 0)));
        assert_eq!(2, admitted(&store, 0));
    });
}

#[test]
fn nobody_overtakes_who_waits_behind_the_lock() {
    model(|| {
        let store = store(1);
        let other = allowing(&store, KEY, 1);
        let own = reserve(&store, KEY, 1);

        // Whoever takes first has the only permit; the other one waits, or is refused.
        let is_first = matches!(own, Turn::Now(_));
        assert_eq!(1, joined(other) + u32::from(is_first));
        assert!(!allow(&store, KEY, 1));
        assert_eq!(is_first, allow(&store, KEY, 2), "one who waits has the next permit");
    });
}
