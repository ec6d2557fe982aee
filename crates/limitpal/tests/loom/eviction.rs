//! Takes against eviction: never more buckets than the cap, and none lost from the count.
//!
//! Under loom a store has two shards if its cap is two or more, else one.

use std::sync::Arc;
use std::time::Duration;

use limitpal::Evict;
use limitpal::parts::{Fingerprint, Store, StoreOptions, Turn};
use loom::thread;

use super::{at, instant, left, model, reserve, take};

// Of two shards, A, C and E are in the first, B and D in the last.
const A: Fingerprint = Fingerprint::chosen(1, 0);
const B: Fingerprint = Fingerprint::chosen(2, u32::MAX);
const C: Fingerprint = Fingerprint::chosen(3, 0);
const D: Fingerprint = Fingerprint::chosen(4, u32::MAX);
const E: Fingerprint = Fingerprint::chosen(5, 0);

/// Makes a store of buckets of one permit each.
fn store(max_buckets: usize) -> Arc<Store> {
    store_with(max_buckets, Evict::NearestNew)
}

fn store_with(max_buckets: usize, evict: Evict) -> Arc<Store> {
    let options = StoreOptions { max_buckets: Some(max_buckets), evict, ..StoreOptions::default() };
    let store = super::store(1, options, false);
    let last = usize::from(max_buckets > 1);
    assert_eq!([0, last, 0, last, 0], [A, B, C, D, E].map(|key| store.shard_of(key)));
    store
}

fn len(store: &Store, seconds: i64) -> usize {
    let Ok(len) = store.len(at(seconds));
    len
}

/// Asserts that the count equals what the tables hold: emptied, there is room for exactly the cap.
fn assert_counted(store: &Store, seconds: i64) {
    let max = store.options().max_buckets.expect("there is a cap");
    assert!(len(store, seconds) <= max);
    let Ok(()) = store.reset_all(at(seconds));
    assert_eq!(0, len(store, seconds));

    let lost = store.evicted_live();
    for number in 0..max as u64 {
        take(
            store,
            Fingerprint::chosen(10 + number, 0_u32.wrapping_sub(number as u32 % 2)),
            seconds,
        );
    }
    assert_eq!((max, lost), (len(store, seconds), store.evicted_live()), "counted too many");
    take(store, Fingerprint::chosen(20, 0), seconds);
    assert_eq!((max, lost + 1), (len(store, seconds), store.evicted_live()), "counted too few");
}

/// Lets another thread do something with the store, and this one something else.
fn both<T: 'static, O>(
    store: &Arc<Store>,
    other: impl FnOnce(&Store) -> T + 'static,
    own: impl FnOnce(&Store) -> O,
) -> (T, O) {
    let shared = store.clone();
    let thread = thread::spawn(move || other(&shared));
    let own = own(store);
    (thread.join().expect("the other thread did not panic"), own)
}

#[test]
fn newcomers_in_one_shard_keep_to_the_cap() {
    model(|| {
        let store = store(1);
        both(
            &store,
            |store| assert!(take(store, A, 0).is_some() && take(store, C, 0).is_some()),
            |store| assert!(take(store, B, 0).is_some()),
        );

        assert_eq!((1, 2), (len(&store, 0), store.evicted_live()));
        assert_counted(&store, 0);
    });
}

#[test]
fn newcomers_in_two_shards_keep_to_the_cap() {
    model(|| {
        let store = store(2);
        both(
            &store,
            |store| assert!(take(store, A, 0).is_some() && take(store, B, 0).is_some()),
            |store| assert!(take(store, D, 0).is_some() && take(store, C, 0).is_some()),
        );

        assert_eq!((2, 2), (len(&store, 0), store.evicted_live()));
        assert_counted(&store, 0);
    });
}

#[test]
fn room_made_in_another_shard_may_go_to_a_faster_newcomer() {
    model(|| {
        let store = store(2);
        take(&store, A, 0);
        take(&store, C, 0);
        both(
            &store,
            |store| assert!(take(store, B, 0).is_some(), "it makes room again"),
            |store| assert!(take(store, E, 0).is_some()),
        );

        assert_eq!((2, true), (len(&store, 0), store.evicted_live() >= 2));
        assert_counted(&store, 0);
    });
}

#[test]
fn a_newcomer_and_a_reset_keep_count() {
    model(|| {
        let store = store(2);
        take(&store, A, 0);
        take(&store, B, 0);
        both(
            &store,
            |store| assert!(take(store, D, 0).is_some()),
            |store| {
                let Ok(()) = store.reset(A, at(0));
            },
        );

        assert_counted(&store, 0);
    });
}

#[test]
fn newcomers_and_a_reset_of_all_keep_count() {
    model(|| {
        let store = store(2);
        take(&store, A, 0);
        take(&store, B, 0);
        both(
            &store,
            |store| assert!(take(store, C, 0).is_some() && take(store, D, 0).is_some()),
            |store| {
                let Ok(()) = store.reset_all(at(0));
            },
        );

        assert_counted(&store, 0);
    });
}

#[test]
fn three_newcomers_keep_to_the_cap() {
    model(|| {
        let store = store(2);
        let coming = |key| {
            let store = store.clone();
            thread::spawn(move || assert!(take(&store, key, 0).is_some()))
        };
        let others = [coming(A), coming(B)];
        assert!(take(&store, C, 0).is_some());
        for other in others {
            other.join().expect("the other thread did not panic");
        }

        assert_eq!((2, 1), (len(&store, 0), store.evicted_live()));
        assert_counted(&store, 0);
    });
}

#[test]
fn a_newcomer_and_a_giving_back_keep_count() {
    model(|| {
        let store = store(2);
        let grant = take(&store, A, 0).expect("it is full");
        take(&store, B, 0);
        both(
            &store,
            |store| assert!(take(store, D, 0).is_some()),
            |store| store.give_back(grant, Some(instant(0))),
        );

        assert_eq!(1, left(&store, A, 0), "it was given back, or forgotten");
        assert_counted(&store, 0);
    });
}

#[test]
fn newcomers_and_the_end_of_idle_buckets_keep_count() {
    model(|| {
        let ttl = Some(Duration::from_secs(5));
        let options = StoreOptions {
            max_buckets: Some(2),
            ttl,
            cleanup_interval: 1,
            ..StoreOptions::default()
        };
        let store = super::store(1, options, false);
        take(&store, A, 0);
        take(&store, B, 0);
        both(
            &store,
            |store| assert!(take(store, C, 100).is_some()),
            |store| assert!(take(store, D, 100).is_some()),
        );

        assert_eq!((2, 0), (len(&store, 100), store.evicted_live()), "only idle ones had to go");
        assert_counted(&store, 100);
    });
}

#[test]
fn a_bucket_somebody_waits_for_stays() {
    model(|| {
        let store = store(2);
        let wait = |key| {
            assert!(take(&store, key, 0).is_some());
            let Turn::Wait(place, _) = reserve(&store, key, 0) else { panic!("it is empty") };
            place
        };
        let (leaver, stayer) = (wait(A), wait(B));
        let (newcomer, ()) = both(
            &store,
            |store| take(store, D, 0).is_some(),
            |store| store.leave(leaver, Some(instant(0))),
        );

        assert!(take(&store, D, 0).is_some() != newcomer, "there is room once one has left");
        assert_eq!((2, 1), (len(&store, 0), store.evicted_live()));
        let Ok(claimed) = store.claim(stayer, at(1));
        assert!(claimed.is_ok());
        assert_eq!(0, left(&store, B, 1), "the level was kept with the line");
        assert_counted(&store, 1);
    });
}

#[test]
fn newcomers_who_are_refused_change_nothing() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        model(move || {
            let store = store_with(2, evict);
            assert!(take(&store, A, 0).is_some() && take(&store, B, 0).is_some());
            both(
                &store,
                |store| assert!(take(store, C, 0).is_none() && take(store, D, 0).is_none()),
                |store| assert!(take(store, E, 0).is_none()),
            );

            assert_eq!((2, 0), (len(&store, 0), store.evicted_live()));
            assert_eq!((0, 0), (left(&store, A, 0), left(&store, B, 0)));
        });
    }
}

#[test]
fn a_place_as_new_goes_to_one_newcomer() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        model(move || {
            let store = store_with(1, evict);
            assert!(take(&store, A, 0).is_some());
            let (one, other) = both(
                &store,
                |store| take(store, C, 100).is_some(),
                |store| take(store, E, 100).is_some(),
            );

            assert!(one != other, "the place is as new, and serves one");
            assert_eq!((1, 0), (len(&store, 100), store.evicted_live()));
        });
    }
}

#[test]
fn a_take_from_a_bucket_forgotten_since_gives_nothing_back() {
    model(|| {
        let store = store(1);
        let grant = take(&store, A, 0).expect("it is full");
        let flood = |store: &Store| {
            assert!(take(store, B, 0).is_some());
            assert!(take(store, A, 0).is_some(), "it was forgotten or given back");
        };
        both(&store, flood, |store| store.give_back(grant, Some(instant(0))));

        assert_eq!(0, left(&store, A, 0), "the second take is another's");
        assert_counted(&store, 0);
    });
}

#[test]
fn a_batch_and_a_take_keep_to_each_bucket() {
    model(|| {
        let store = store(4);
        let batch = [(A, 1), (B, 1), (C, 1), (B, 1)];
        let (answers, (taken, taken_elsewhere)) = both(
            &store,
            move |store| {
                let Ok(answers) = store.take_many(&batch, |ask| *ask, at(0));
                answers
            },
            |store| (take(store, B, 0).is_some(), take(store, D, 0).is_some()),
        );

        // The other either came before the batch, or found nothing left.
        assert_eq!(vec![true, !taken, true, false], answers);
        assert!(taken_elsewhere);
        assert_eq!((4, 0), (len(&store, 0), store.evicted_live()));
        assert_counted(&store, 0);
    });
}

#[test]
fn a_batch_of_newcomers_and_a_newcomer_keep_to_the_cap() {
    model(|| {
        let store = store(2);
        let batch = [(A, 1), (B, 1), (C, 1)];
        let (answers, taken) = both(
            &store,
            move |store| {
                let Ok(answers) = store.take_many(&batch, |ask| *ask, at(0));
                answers
            },
            |store| take(store, D, 0).is_some(),
        );

        assert_eq!((vec![true; 3], true), (answers, taken));
        assert_eq!((2, 2), (len(&store, 0), store.evicted_live()));
        assert_counted(&store, 0);
    });
}
