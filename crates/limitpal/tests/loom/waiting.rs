//! Waiters against those who leave, give back and reset: nobody sleeps past its turn, and no
//! permit is granted twice.
//!
//! Time stops where the last turn comes at the earliest. So one that is not woken, though somebody
//! ahead has left, sleeps for ever, and loom calls that a deadlock.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::task::{Wake, Waker};

use limitpal::parts::{Fingerprint, Grant, Place, Request, Store, StoreOptions, Turn};
use loom::thread::{self, JoinHandle};

use super::bells::{Bells, wait};
use super::{at, instant, left, model, model_within, reserve, take};

const KEY: Fingerprint = Fingerprint::chosen(1, 0);

/// Makes a store whose bucket of one permit is empty, and those who wait for it.
fn line<const WAITERS: usize>(one_bucket: bool) -> (Arc<Store>, Grant, [Place; WAITERS]) {
    let store = super::store(1, StoreOptions::default(), one_bucket);
    let grant = take(&store, KEY, 0).expect("it is full");
    let places = [(); WAITERS].map(|()| place(&store, None));
    (store, grant, places)
}

fn place(store: &Store, ticket: Option<u64>) -> Place {
    let ticket = ticket.and_then(NonZeroU64::new);
    let request = Request { cost: 1, timeout: None, fixed: false, ticket };
    let Ok(Turn::Wait(place, _)) = store.reserve(KEY, request, at(0)) else {
        panic!("it is empty");
    };
    place
}

fn waiting(store: &Arc<Store>, place: Place, bells: &Arc<Bells>, bell: usize) -> JoinHandle<Grant> {
    let (store, bells) = (store.clone(), bells.clone());
    thread::spawn(move || wait(&store, place, &bells, bell))
}

fn leaving(store: &Arc<Store>, place: Place) -> JoinHandle<()> {
    let store = store.clone();
    thread::spawn(move || store.leave(place, Some(instant(0))))
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the other thread did not panic")
}

/// Asserts that so far as many permits were granted as there are seconds, and one more.
fn assert_spent(store: &Store, seconds: i64) {
    assert_eq!((0, 1), (left(store, KEY, seconds), left(store, KEY, seconds + 1)));
}

fn the_next_moves_up(one_bucket: bool) {
    let (store, _, [first, second]) = line(one_bucket);
    let bells = Bells::new();
    let second = waiting(&store, second, &bells, 0);
    let first = leaving(&store, first);
    bells.set(1);

    joined(first);
    joined(second);
    assert_spent(&store, 1);
}

#[test]
fn the_next_in_line_is_woken_by_one_who_leaves() {
    model(|| the_next_moves_up(false));
}

#[test]
fn the_next_in_the_only_line_is_woken_by_one_who_leaves() {
    model(|| the_next_moves_up(true));
}

fn a_newcomer_moves_up(one_bucket: bool) {
    let (store, _, [first]) = line(one_bucket);
    let bells = Bells::new();
    let (shared, clock) = (store.clone(), bells.clone());
    let newcomer = thread::spawn(move || {
        let request = Request { cost: 1, timeout: None, fixed: false, ticket: None };
        let Ok(turn) = shared.reserve(KEY, request, || clock.now());
        match turn {
            Turn::Now(grant) => grant,
            Turn::Wait(place, _) => wait(&shared, place, &clock, 0),
            Turn::Refused(_) => panic!("it would have waited"),
        }
    });
    bells.set(1);
    store.leave(first, Some(instant(0)));

    joined(newcomer);
    assert_spent(&store, 1);
}

#[test]
fn a_newcomer_has_the_turn_of_one_who_leaves() {
    model(|| a_newcomer_moves_up(false));
}

#[test]
fn a_newcomer_to_the_only_line_has_the_turn_of_one_who_leaves() {
    model(|| a_newcomer_moves_up(true));
}

#[test]
fn the_third_is_woken_once_two_have_left() {
    model(|| {
        let (store, _, [first, second, third]) = line(false);
        let bells = Bells::new();
        let third = waiting(&store, third, &bells, 0);
        let first = leaving(&store, first);
        store.leave(second, Some(instant(0)));
        bells.set(1);

        joined(first);
        joined(third);
        assert_spent(&store, 1);
    });
}

#[test]
fn one_who_goes_wakes_the_next_who_has_moved_up_too() {
    model_within(4, || {
        let (store, _, [first, second, third]) = line(false);
        let bells = Bells::new();
        let second = waiting(&store, second, &bells, 0);
        let third = waiting(&store, third, &bells, 1);
        store.leave(first, Some(instant(0)));
        bells.set(1);
        joined(second);
        bells.set(2);

        joined(third);
        assert_spent(&store, 2);
    });
}

#[test]
fn a_permit_given_back_goes_to_the_first_in_line_at_once() {
    model(|| {
        let (store, grant, [first]) = line(false);
        let first = waiting(&store, first, &Bells::new(), 0);
        store.give_back(grant, Some(instant(0)));

        joined(first);
        assert_spent(&store, 0);
    });
}

#[test]
fn a_reset_lets_the_first_in_line_go_at_once() {
    model_within(3, || {
        let (store, _, [first, second]) = line(false);
        let bells = Bells::new();
        let first = waiting(&store, first, &bells, 0);
        let second = waiting(&store, second, &bells, 1);
        let Ok(()) = store.reset(KEY, at(0));
        joined(first);
        bells.set(1);

        joined(second);
        assert_spent(&store, 1);
    });
}

#[test]
fn one_who_is_pushed_back_and_moves_up_again_is_woken() {
    model(|| {
        let store = super::store(1, StoreOptions::default(), false);
        take(&store, KEY, 0).expect("it is full");
        let (first, junior) = (place(&store, Some(1)), place(&store, Some(9)));
        let bells = Bells::new();
        let junior = waiting(&store, junior, &bells, 0);
        store.leave(first, Some(instant(0)));
        let senior = place(&store, Some(5));
        store.leave(senior, Some(instant(0)));
        bells.set(1);

        joined(junior);
        assert_spent(&store, 1);
    });
}

#[test]
fn a_turn_is_granted_to_one() {
    model(|| {
        let (store, _, [first]) = line(false);
        let first = leaving(&store, first);
        let taken = u32::from(take(&store, KEY, 1).is_some());

        joined(first);
        assert_eq!(1 - taken, left(&store, KEY, 1));
        assert_eq!(1, left(&store, KEY, 2));
    });
}

#[test]
fn a_place_that_nobody_can_move_up_to_goes_to_one_newcomer() {
    model(|| {
        let (store, _, [first]) = line(false);
        let request = Request { cost: 1, timeout: None, fixed: true, ticket: None };
        let Ok(Turn::Wait(fixed, _)) = store.reserve(KEY, request, at(0)) else {
            panic!("it is empty");
        };
        let first = leaving(&store, first);
        let shared = store.clone();
        let other = thread::spawn(move || reserve(&shared, KEY, 0));
        let own = reserve(&store, KEY, 0);
        joined(first);

        // One took the first turn if it had been left by then; the others came behind.
        let mut turns = [own, joined(other), reserve(&store, KEY, 0)].map(|turn| match turn {
            Turn::Wait(_, wait) => wait.as_secs(),
            Turn::Now(_) | Turn::Refused(_) => panic!("it waits"),
        });
        turns.sort_unstable();
        assert_eq!([1, 3, 4], turns);
        store.arrived(fixed, Some(instant(2))).unwrap();
    });
}

/// A waker of a careless runtime: woken, and dropped, it asks the store.
struct Nosy(Arc<Store>);

impl Nosy {
    fn waker(store: &Arc<Store>) -> Waker {
        Waker::from(Arc::new(Self(store.clone())))
    }

    fn ask(&self) {
        let Ok(_) = self.0.contains(KEY, at(0));
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        self.ask();
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        self.ask();
    }
}

#[test]
fn wakers_are_woken_and_dropped_outside_the_locks() {
    model(|| {
        let (store, grant, [first, second, third]) = line(false);
        for place in [first, second, third, first] {
            let Ok(_) = store.arm(place, Nosy::waker(&store), at(0));
        }
        let shared = store.clone();
        let other = thread::spawn(move || {
            shared.leave(first, Some(instant(0)));
            shared.give_back(grant, Some(instant(0)));
        });
        let Ok(_) = store.arm(second, Nosy::waker(&store), at(0));
        let Ok(()) = store.reset(KEY, at(0));
        joined(other);
        for place in [second, third] {
            let Ok(claimed) = store.claim(place, at(3));
            assert!(claimed.is_ok());
        }
        let Ok(_) = store.arm(first, Nosy::waker(&store), at(3));
    });
}
