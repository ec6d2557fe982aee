//! The line that moves many at one step does to the nanosecond what one that moves each by itself
//! does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod eager;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;

use self::eager::{Answer, Eager, Taken, Waiting};
use super::Position;
use crate::algorithm::{Bucket, Level, Pace};
use crate::rate::Rate;
use crate::store::timeline::bounded;
use crate::store::{Fingerprint, Grant, Place, Request, Scope, Store, StoreOptions, Turn};
use crate::time::Instant;

const KEY: Fingerprint = Fingerprint::chosen(7, 7);

/// Writes down whom it wakes.
struct Bell {
    who: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.who);
    }
}

/// What may happen. Who is meant is counted from the last who came or went.
#[derive(Clone, Debug)]
enum Event {
    /// Time goes on, by thousandths of an interval and nanoseconds.
    Pass(i64, i64),
    /// Time goes on until the first one behind so many is due.
    PassTo(usize),
    Take(u64),
    Join {
        cost: u64,
        fixed: bool,
        ticket: Option<usize>,
    },
    Arm(usize),
    /// Goes if it may.
    Claim(usize),
    /// Goes as if it might.
    Arrive(usize),
    Leave(usize),
    GiveBack(usize),
    Reset,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let cost = || prop_oneof![4 => Just(1_u64), 2 => 1_u64..6, 1 => Just(u64::MAX)];
    let ticket = prop_oneof![2 => Just(None), 1 => (0_usize..4).prop_map(Some)];
    let join = (cost(), proptest::bool::weighted(0.08), ticket);
    let event = prop_oneof![
        4 => (0_i64..1500, -1_i64..2).prop_map(|(parts, nanos)| Event::Pass(parts, nanos)),
        1 => (0_i64..12_000).prop_map(|parts| Event::Pass(parts, 0)),
        3 => (0_usize..3).prop_map(Event::PassTo),
        2 => cost().prop_map(Event::Take),
        9 => join.prop_map(|(cost, fixed, ticket)| Event::Join { cost, fixed, ticket }),
        3 => (0_usize..10).prop_map(Event::Arm),
        6 => (0_usize..10).prop_map(Event::Claim),
        1 => (0_usize..10).prop_map(Event::Arrive),
        5 => (0_usize..10).prop_map(Event::Leave),
        3 => (0_usize..10).prop_map(Event::GiveBack),
        1 => Just(Event::Reset),
    ];
    proptest::collection::vec(event, 1..80)
}

/// Events in which all can be moved and nobody waits in several lines.
fn plain_events() -> impl Strategy<Value = Vec<Event>> {
    let plain = |event| match event {
        Event::Join { cost, .. } => Event::Join { cost, fixed: false, ticket: None },
        Event::Arrive(back) => Event::Claim(back),
        Event::Reset => Event::Arm(0),
        event => event,
    };
    events().prop_map(move |events| events.into_iter().map(plain).collect())
}

fn buckets() -> impl Strategy<Value = Bucket> {
    let rate = prop_oneof![
        Just(5.0),
        Just(3.0),
        Just(7.0),
        Just(1.0 / 3.0),
        Just(12.34),
        Just(1e6),
        Just(999_983.0),
        Just(0.123_456_789_012_345),
        Just(1e-9),
        1.0..1e6,
    ];
    let pace = prop_oneof![Just(Pace::Burst), Just(Pace::Even)];
    let capacity = prop_oneof![Just(1), 2_u32..6, 2_u32..40];
    let (debt, initial) =
        (prop_oneof![2 => Just(0), 1 => 1_u32..9], proptest::option::of(0_u32..40));
    let given = (capacity, rate, pace, debt, initial);
    given.prop_filter_map("at most a hundred years", |(capacity, rate, pace, debt, initial)| {
        let bucket = Bucket::new(capacity, Rate::per_second(rate).unwrap(), pace).ok()?;
        if pace == Pace::Even {
            return Some(bucket);
        }
        let bucket = bucket.with_debt(debt).ok()?;
        initial.map_or(Some(bucket), |initial| {
            bucket.with_initial(initial.min(capacity), Instant::ZERO).ok()
        })
    })
}

/// A store and a list, to which the same happens.
struct Twins {
    bucket: Bucket,
    store: Store,
    eager: Eager,
    now: Instant,
    /// All who ever came, and where they wait.
    places: Vec<Place>,
    came: Vec<usize>,
    taken: Vec<(Grant, Taken)>,
    woken: Arc<Mutex<Vec<usize>>>,
}

fn read(now: Instant) -> impl FnMut() -> Result<Instant, ()> {
    move || Ok(now)
}

impl Twins {
    fn new(bucket: Bucket, now: Instant) -> Self {
        let scope = Scope { one_bucket: false, steady_clock: true };
        let store = Store::new(bucket, StoreOptions::default(), scope).unwrap();
        let (places, came, taken, woken) = (Vec::new(), Vec::new(), Vec::new(), Arc::default());
        let (eager, now) = (Eager::new(bucket), bounded(now));
        Self { bucket, store, eager, now, places, came, taken, woken }
    }

    /// Returns one of those who came last.
    fn who(&self, back: usize) -> Option<(usize, Place)> {
        let who = *self.came.get(self.came.len().checked_sub(back + 1)?)?;
        Some((who, self.places[who]))
    }

    fn happen(&mut self, event: &Event) {
        let now = self.now;
        match *event {
            Event::Pass(parts, nanos) => {
                let interval = self.bucket.after(Level::at(Instant::ZERO), 1, Instant::ZERO);
                let span = i128::from(interval.whole) * i128::from(parts) / 1000;
                let nanos = i64::try_from(span).unwrap_or(0) + nanos;
                self.now = bounded(now + Duration::from_nanos(nanos.max(0).unsigned_abs()));
            }
            Event::PassTo(rank) => {
                let due = self.eager.waiters.get(rank).map(|waiting| waiting.due);
                self.now = bounded(now.max(due.unwrap_or(now)));
            }
            Event::Take(cost) => {
                let cost = cost.min(self.bucket.capacity().into());
                let grant = self.store.take(KEY, cost, read(now)).unwrap();
                let taken = self.eager.take(cost, now);
                self.both_took(grant, taken);
            }
            Event::Join { cost, fixed, ticket } => self.join(cost, fixed, ticket),
            Event::Arm(back) => {
                let Some((who, place)) = self.who(back) else { return };
                let bell = Bell { who, woken: Arc::clone(&self.woken) };
                let armed = self.store.arm(place, Waker::from(Arc::new(bell)), read(now)).unwrap();
                assert_eq!(self.eager.arm(who).unwrap_or(now), armed.due);
            }
            Event::Claim(back) => {
                let Some((who, place)) = self.who(back) else { return };
                let due = self.eager.rank(who).map(|rank| self.eager.waiters[rank].due);
                match self.store.claim(place, read(now)).unwrap() {
                    Err(pending) => assert_eq!(self.eager.sleep_on(who), Some(pending.due)),
                    Ok(grant) => {
                        assert!(due.is_none_or(|due| due <= now));
                        let taken = self.eager.go(who, now);
                        self.both_took(taken.is_some().then_some(grant), taken);
                    }
                }
            }
            Event::Arrive(back) => {
                let Some((who, place)) = self.who(back) else { return };
                let (grant, taken) =
                    (self.store.arrived(place, Some(now)).unwrap(), self.eager.go(who, now));
                self.both_took(taken.is_some().then_some(grant), taken);
            }
            Event::Leave(back) => {
                let Some((who, place)) = self.who(back) else { return };
                self.store.leave(place, Some(now));
                self.eager.leave(who, now);
            }
            Event::GiveBack(back) => {
                let Some(index) = self.taken.len().checked_sub(back + 1) else { return };
                let (grant, taken) = self.taken.remove(index);
                self.store.give_back(grant, Some(now));
                self.eager.give_back(taken, now);
            }
            Event::Reset => {
                self.store.reset(KEY, read(now)).unwrap();
                self.eager.reset(now);
            }
        }
    }

    fn join(&mut self, cost: u64, fixed: bool, ticket: Option<usize>) {
        let (now, who) = (self.now, self.places.len());
        let cost = cost.min(self.bucket.capacity().into());
        // Its own number, or that of one who came earlier.
        let ticket =
            ticket.map(|back| NonZeroU64::MIN.saturating_add((3 * who - who.min(5 * back)) as u64));
        let request = Request { cost, timeout: None, fixed, ticket };
        match self.store.reserve(KEY, request, read(now)).unwrap() {
            Turn::Now(grant) => {
                let Answer::Now(taken) = self.eager.reserve(who, request, now) else {
                    panic!("one goes at once, and the other waits");
                };
                self.both_took(Some(grant), Some(taken));
            }
            Turn::Wait(place, wait) => {
                let answer = self.eager.reserve(who, request, now);
                let Answer::Wait(due) = answer else {
                    panic!("one waits, and the other has {answer:?}")
                };
                assert_eq!(due.saturating_duration_since(now), wait);
                self.came.push(who);
                self.places.push(place);
            }
            Turn::Refused(_) => unreachable!("anybody may wait for what the capacity holds"),
        }
    }

    fn both_took(&mut self, grant: Option<Grant>, taken: Option<Taken>) {
        assert_eq!(taken.is_some(), grant.is_some());
        let Some((grant, taken)) = grant.zip(taken) else { return };
        let expected = (taken.cost, taken.before, taken.after);
        assert_eq!(expected, (grant.cost, grant.before, grant.after));
        self.taken.push((grant, taken));
    }

    /// Holds one against the other.
    fn compare(&self) {
        let shard = self.store.shard(KEY);
        assert_eq!(self.eager.level(), shard.level(&self.store.settings, KEY));
        assert_eq!(self.eager.woken, *self.woken.lock().unwrap());
        let Some(lineup) = shard.lines.get(&KEY) else {
            assert!(self.eager.waiters.is_empty() && self.eager.freed.is_empty());
            return;
        };
        let row = lineup.line.row();
        let mut eager = self.eager.waiters.iter();
        for spot in row.from(row.first()) {
            let (waiting, waiter) = (eager.next().expect("as many wait"), row.get(spot));
            let Waiting { who, cost, before, after, due, armed, .. } = *waiting;
            assert_eq!(self.places[who].id, row.name(spot));
            assert_eq!(Position { before, after, due }, lineup.position(&self.bucket, spot));
            assert_eq!((cost, armed), (waiter.cost(), waiter.armed));
        }
        assert_eq!(None, eager.next());
        let last = self.eager.freed.last().map(|it| (it.cost, it.before, it.after, it.due));
        let freed = lineup.line.last_freed();
        assert_eq!(last, freed.map(|it| (it.cost, it.before, it.after, it.due)));
    }
}

/// Clocks start at zero, or as far before it as they can.
fn starts() -> impl Strategy<Value = Instant> {
    prop_oneof![4 => Just(Instant::ZERO), 1 => Just(Instant::MIN)]
}

fn run(bucket: Bucket, start: Instant, events: &[Event]) {
    let mut twins = Twins::new(bucket, start);
    for event in events {
        twins.happen(event);
        twins.compare();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn those_who_can_be_moved_stand_where_a_plain_list_has_them(
        bucket in buckets(),
        start in starts(),
        events in plain_events(),
    ) {
        run(bucket, start, &events);
    }

    #[test]
    fn any_line_is_as_a_plain_list_has_it(
        bucket in buckets(),
        start in starts(),
        events in events(),
    ) {
        run(bucket, start, &events);
    }
}
