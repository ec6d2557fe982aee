//! Those who wait for a window against who leaves, takes and gives back, as `waiting` has it for
//! buckets: time stops where the last turn comes at the earliest.

use std::sync::Arc;
use std::time::Duration;

use limitpal::parts::{
    Fingerprint, FixedCount, Grant, Place, Request, Scope, SlidingCount, SlidingLog, Store,
    StoreOptions, Turn, Window,
};
use limitpal::{Align, Instant};
use loom::thread::{self, JoinHandle};

use super::bells::{Bells, wait};
use super::{instant, left, model, take};

const KEY: Fingerprint = Fingerprint::chosen(1, 0);
const SECOND: Duration = Duration::from_secs(1);

type Shared<W> = Arc<Store<W>>;

/// A limit of one, and how many seconds lie between two turns.
trait Limit: Window + Clone {
    const TURN: i64;

    fn one() -> Self;
}

impl Limit for FixedCount {
    const TURN: i64 = 1;

    fn one() -> Self {
        Self::new(1, SECOND, Align::Clock).expect("a good window")
    }
}

impl Limit for SlidingCount {
    /// What went in one window of the clock still counts at the end of the next.
    const TURN: i64 = 2;

    fn one() -> Self {
        Self::new(1, SECOND).expect("a good window")
    }
}

impl Limit for SlidingLog {
    const TURN: i64 = 1;

    fn one() -> Self {
        Self::new(1, SECOND).expect("a good window")
    }
}

/// Makes a store whose only permit has gone, and those who wait for the next.
fn line<W: Limit, const WAITERS: usize>() -> (Shared<W>, Grant, [Place; WAITERS]) {
    let scope = Scope { one_bucket: false, steady_clock: true };
    let store = Store::new(W::one(), StoreOptions::default(), scope).expect("good options");
    let grant = take(&store, KEY, 0).expect("it is new");
    let places = [(); WAITERS].map(|()| match reserve(&store, || Ok(instant(0))) {
        Turn::Wait(place, _) => place,
        Turn::Now(_) | Turn::Refused(_) => panic!("the permit has gone"),
    });
    (Arc::new(store), grant, places)
}

fn reserve<W: Limit>(
    store: &Store<W>,
    read: impl FnMut() -> Result<Instant, std::convert::Infallible>,
) -> Turn {
    let request = Request { cost: 1, timeout: None, fixed: false, ticket: None };
    let Ok(turn) = store.reserve(KEY, request, read);
    turn
}

fn waiting<W: Limit>(
    store: &Shared<W>,
    place: Place,
    bells: &Arc<Bells>,
    bell: usize,
) -> JoinHandle<Grant> {
    let (store, bells) = (store.clone(), bells.clone());
    thread::spawn(move || wait(&store, place, &bells, bell))
}

fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("the other thread did not panic")
}

/// Asserts that so far as many permits were granted as there were turns, and one more.
fn assert_spent<W: Limit>(store: &Store<W>, turns: i64) {
    let left = |turns: i64| left(store, KEY, turns * W::TURN);
    assert_eq!((0, 1), (left(turns), left(turns + 1)));
}

/// Walks a model of each window.
macro_rules! each {
    ($($name:ident: $walk:ident;)*) => {$(
        #[test]
        fn $name() {
            model($walk::<FixedCount>);
            model($walk::<SlidingCount>);
            model($walk::<SlidingLog>);
        }
    )*};
}

each! {
    the_next_in_line_is_woken_by_one_who_leaves: the_next_moves_up;
    the_third_is_woken_once_two_have_left: the_third_moves_up;
    a_newcomer_has_the_turn_of_one_who_leaves: a_newcomer_moves_up;
    a_permit_given_back_goes_to_the_first_in_line_at_once: the_first_goes_at_once;
    a_turn_is_granted_to_one: one_has_the_turn;
    who_does_not_wait_takes_nothing_from_one_who_does: the_first_keeps_its_turn;
}

fn the_next_moves_up<W: Limit>() {
    let (store, _, [first, second]) = line::<W, 2>();
    let bells = Bells::new();
    let second = waiting(&store, second, &bells, 0);
    let shared = store.clone();
    let first = thread::spawn(move || shared.leave(first, Some(instant(0))));
    bells.set(W::TURN);

    joined(first);
    joined(second);
    assert_spent(&store, 1);
}

fn the_third_moves_up<W: Limit>() {
    let (store, _, [first, second, third]) = line::<W, 3>();
    let bells = Bells::new();
    let third = waiting(&store, third, &bells, 0);
    let shared = store.clone();
    let first = thread::spawn(move || shared.leave(first, Some(instant(0))));
    store.leave(second, Some(instant(0)));
    bells.set(W::TURN);

    joined(first);
    joined(third);
    assert_spent(&store, 1);
}

fn a_newcomer_moves_up<W: Limit>() {
    let (store, _, [first]) = line::<W, 1>();
    let bells = Bells::new();
    let (shared, clock) = (store.clone(), bells.clone());
    let newcomer = thread::spawn(move || match reserve(&shared, || clock.now()) {
        Turn::Now(grant) => grant,
        Turn::Wait(place, _) => wait(&shared, place, &clock, 0),
        Turn::Refused(_) => panic!("it would have waited"),
    });
    bells.set(W::TURN);
    store.leave(first, Some(instant(0)));

    joined(newcomer);
    assert_spent(&store, 1);
}

fn the_first_goes_at_once<W: Limit>() {
    let (store, grant, [first]) = line::<W, 1>();
    let first = waiting(&store, first, &Bells::new(), 0);
    store.give_back(grant, Some(instant(0)));

    joined(first);
    assert_spent(&store, 0);
}

fn one_has_the_turn<W: Limit>() {
    let (store, _, [first]) = line::<W, 1>();
    let shared = store.clone();
    let first = thread::spawn(move || shared.leave(first, Some(instant(0))));
    let taken = u32::from(take(&store, KEY, W::TURN).is_some());

    joined(first);
    assert_eq!(1 - taken, left(&store, KEY, W::TURN));
    assert_eq!(1, left(&store, KEY, 2 * W::TURN));
}

fn the_first_keeps_its_turn<W: Limit>() {
    let (store, _, [first]) = line::<W, 1>();
    let bells = Bells::new();
    let first = waiting(&store, first, &bells, 0);
    let shared = store.clone();
    let other = thread::spawn(move || take(&shared, KEY, W::TURN).is_some());
    bells.set(W::TURN);

    joined(first);
    assert!(!joined(other), "who waits goes first");
    assert_spent(&store, 1);
}
