//! The queue that plans for whoever asks does what one does that plans for all at once.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod bounds;
mod eager;

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;

use self::eager::Eager;
use crate::algorithm::{Align, FixedCount, Mark, SlidingCount, SlidingLog, WarmUp, Window};
use crate::rate::Rate;
use crate::retry_after::RetryAfter;
use crate::store::{Fingerprint, Grant, Pending, Place, Request, Scope, Store, StoreOptions, Turn};
use crate::time::Instant;

const KEY: Fingerprint = Fingerprint::chosen(7, 7);
const LIMIT: u32 = 5;
const PER: u64 = 20;

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
    Pass(u64),
    Take(u64),
    Join {
        cost: u64,
        fixed: bool,
        ticket: Option<usize>,
        patience: Option<u64>,
    },
    Quote(u64, Option<usize>),
    Look(u64),
    Arm(usize),
    /// Goes if it may.
    Claim(usize),
    /// Goes as if it might.
    Arrive(usize),
    Leave(usize),
    GiveBack(usize),
    Reset,
}

impl Event {
    /// Returns it with so many times the time.
    fn slower(self, times: u64) -> Self {
        match self {
            Self::Pass(nanos) => Self::Pass(nanos * times),
            Self::Join { cost, fixed, ticket, patience } => {
                let patience = patience.map(|nanos| nanos * times);
                Self::Join { cost, fixed, ticket, patience }
            }
            event => event,
        }
    }
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let cost = || prop_oneof![4 => Just(1_u64), 2 => 1_u64..=LIMIT.into()];
    let ticket = || prop_oneof![2 => Just(None), 1 => (0_usize..4).prop_map(Some)];
    let patience = prop_oneof![3 => Just(None), 1 => (0_u64..60).prop_map(Some)];
    let join = (cost(), proptest::bool::weighted(0.1), ticket(), patience);
    let event = prop_oneof![
        5 => (0_u64..12).prop_map(Event::Pass),
        1 => (0_u64..90).prop_map(Event::Pass),
        3 => cost().prop_map(Event::Take),
        9 => join.prop_map(|(cost, fixed, ticket, patience)| {
            Event::Join { cost, fixed, ticket, patience }
        }),
        1 => (cost(), ticket()).prop_map(|(cost, ticket)| Event::Quote(cost, ticket)),
        2 => cost().prop_map(Event::Look),
        3 => (0_usize..10).prop_map(Event::Arm),
        6 => (0_usize..10).prop_map(Event::Claim),
        1 => (0_usize..10).prop_map(Event::Arrive),
        4 => (0_usize..10).prop_map(Event::Leave),
        3 => (0_usize..10).prop_map(Event::GiveBack),
        1 => Just(Event::Reset),
    ];
    proptest::collection::vec(event, 1..80)
}

fn read(now: Instant) -> impl FnMut() -> Result<Instant, ()> {
    move || Ok(now)
}

/// A store and a list, to which the same happens.
struct Twins<W: Window> {
    store: Store<W>,
    eager: Eager<W>,
    now: Instant,
    places: Vec<Option<Place>>,
    taken: Vec<(Grant, (Mark, u64, u64))>,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl<W: Window + Clone> Twins<W> {
    fn new(window: &W) -> Self {
        let scope = Scope { one_bucket: false, steady_clock: true };
        let store = Store::new(window.clone(), StoreOptions::default(), scope).unwrap();
        let eager = Eager::new(window.clone());
        let (now, places, taken) = (Instant::ZERO, Vec::new(), Vec::new());
        Self { store, eager, now, places, taken, woken: Arc::default() }
    }

    /// Returns one of those who came last and wait, or did.
    fn who(&self, back: usize) -> Option<(usize, Place)> {
        let who = self.places.len().checked_sub(back + 1)?;
        Some((who, self.places[who]?))
    }

    fn ticket(&self, back: Option<usize>) -> Option<NonZeroU64> {
        let who = self.places.len();
        back.map(|back| NonZeroU64::MIN.saturating_add((3 * who - who.min(5 * back)) as u64))
    }

    fn happen(&mut self, event: &Event) {
        let now = self.now;
        self.eager.settle(now);
        match *event {
            Event::Pass(nanos) => self.now = now + Duration::from_nanos(nanos),
            Event::Take(cost) => {
                let grant = self.store.take(KEY, cost, read(now)).unwrap();
                let taken = self.eager.take(cost, now);
                self.both_took(grant, taken.map(|mark| (mark, cost)));
            }
            Event::Join { cost, fixed, ticket, patience } => {
                let timeout = patience.map(Duration::from_nanos);
                let request = Request { cost, timeout, fixed, ticket: self.ticket(ticket) };
                self.join(request);
            }
            Event::Quote(cost, ticket) => {
                let ticket = self.ticket(ticket);
                let request = Request { cost, timeout: None, fixed: false, ticket };
                let wait = self.store.quote(KEY, request, read(now)).unwrap().duration().unwrap();
                assert_eq!(self.eager.due(request, now).1, now + wait);
            }
            Event::Look(cost) => self.look(cost),
            Event::Arm(back) => {
                let Some((who, place)) = self.who(back) else { return };
                let bell = Bell { who, woken: Arc::clone(&self.woken) };
                let armed = self.store.arm(place, Waker::from(Arc::new(bell)), read(now)).unwrap();
                assert_eq!(self.eager.arm(who).unwrap_or(now), armed.due);
            }
            Event::Claim(back) => self.claim(back),
            Event::Arrive(back) => self.arrive(back),
            Event::Leave(back) => {
                let Some((who, place)) = self.who(back) else { return };
                self.store.leave(place, Some(now));
                self.eager.leave(who, now);
                self.places[who] = None;
            }
            Event::GiveBack(back) => {
                let Some(index) = self.taken.len().checked_sub(back + 1) else { return };
                let (grant, (mark, cost, epoch)) = self.taken.remove(index);
                self.store.give_back(grant, Some(now));
                if epoch == self.eager.epoch {
                    self.eager.give_back(cost, mark, now);
                }
            }
            Event::Reset => {
                self.store.reset(KEY, read(now)).unwrap();
                self.eager.reset(now);
            }
        }
    }

    fn look(&self, cost: u64) {
        let now = self.now;
        let decision = self.store.peek(KEY, cost, read(now)).unwrap();
        let (due, remaining, fresh_at) = self.eager.look(cost, now);
        assert_eq!(due, now + decision.retry_after.duration().unwrap());
        assert_eq!(remaining, decision.remaining);
        assert_eq!(fresh_at.saturating_duration_since(now), decision.reset_after);
    }

    fn claim(&mut self, back: usize) {
        let Some((who, place)) = self.who(back) else { return };
        let slept = self.eager.sleep_on(who);
        match self.store.claim(place, read(self.now)).unwrap() {
            Err(pending) => self.sleeps_on(who, slept, pending),
            Ok(grant) => {
                assert!(slept.is_some_and(|(due, _)| due <= self.now));
                self.went(who, grant);
            }
        }
    }

    fn arrive(&mut self, back: usize) {
        let Some((who, place)) = self.who(back) else { return };
        let pushed = self.eager.pushed_back(who, self.now);
        match self.store.arrived(place, Some(self.now)) {
            Err(pending) => self.sleeps_on(who, pushed, pending),
            Ok(grant) => {
                assert_eq!(None, pushed);
                self.went(who, grant);
            }
        }
    }

    /// One was told how long to sleep on, or turned away since that is too long.
    fn sleeps_on(&mut self, who: usize, slept: Option<(Instant, bool)>, pending: Pending) {
        assert_eq!(slept, Some((pending.due, pending.refused.is_some())));
        if pending.refused.is_some() {
            self.eager.leave(who, self.now);
            self.places[who] = None;
        }
    }

    fn went(&mut self, who: usize, grant: Grant) {
        let taken = self.eager.go(who, self.now);
        self.both_took(Some(grant), Some(taken));
        self.places[who] = None;
    }

    fn join(&mut self, request: Request) {
        let (now, who) = (self.now, self.places.len());
        let (_, due) = self.eager.due(request, now);
        let is_refused = request.timeout.is_some_and(|timeout| now + timeout < due);
        match self.store.reserve(KEY, request, read(now)).unwrap() {
            Turn::Now(grant) => {
                assert_eq!(now, due);
                let mark = self.eager.pass(request, now);
                self.both_took(Some(grant), Some((mark, request.cost)));
            }
            Turn::Wait(place, wait) => {
                assert_eq!((false, due), (is_refused, now + wait));
                self.eager.join(who, request, now);
                self.places.push(Some(place));
            }
            Turn::Refused(after) => {
                assert_eq!((true, due), (is_refused, now + after.duration().unwrap()));
            }
        }
    }

    fn both_took(&mut self, grant: Option<Grant>, taken: Option<(Mark, u64)>) {
        assert_eq!(taken.is_some(), grant.is_some());
        let Some((grant, (mark, cost))) = grant.zip(taken) else { return };
        assert_eq!((mark.after, mark.before, cost), (grant.after, grant.before, grant.cost));
        self.taken.push((grant, (mark, cost, self.eager.epoch)));
    }
}

fn run<W: Window + Clone>(window: &W, events: &[Event]) {
    let mut twins = Twins::new(window);
    for event in events {
        twins.happen(event);
        assert_eq!(twins.eager.woken, *twins.woken.lock().unwrap());
    }
    // All who are left go in their order, none before it is due.
    while let Some((who, due)) = twins.eager.first() {
        let place = twins.places[who].unwrap();
        if let Some(before) = due.as_nanos().checked_sub(1).filter(|_| due > twins.now) {
            twins.now = Instant::from_nanos(before);
            twins.happen(&Event::Claim(twins.places.len() - 1 - who));
            if twins.places[who].is_none() {
                continue;
            }
        }
        twins.now = twins.now.max(due);
        twins.eager.settle(twins.now);
        let grant = twins.store.claim(place, read(twins.now)).unwrap().unwrap();
        twins.went(who, grant);
    }
    let shard = twins.store.shard(KEY);
    assert!(!shard.lines.contains_key(&KEY));
}

/// What was worked out for one who came behind an unmovable sleeper says nothing of later takes.
#[test]
fn a_take_once_all_have_gone_counts_for_those_who_come_next() {
    let join = |cost, fixed| Event::Join { cost, fixed, ticket: None, patience: None };
    let crowd = [join(1, false), join(3, false), join(1, false)];
    let sleeper = [join(2, false), join(4, true), Event::Quote(1, None)];
    let pass = [Event::Pass(40), Event::Take(1)];
    let events: Vec<_> = sleeper.into_iter().chain(pass).chain(crowd).collect();
    run(&SlidingCount::new(LIMIT, Duration::from_nanos(PER)).unwrap(), &events);
}

/// Who leaves would have begun the windows of all behind it.
#[test]
fn one_who_is_put_off_beyond_its_time_hears_of_it_within_it() {
    let first_use = FixedCount::new(LIMIT, Duration::from_nanos(PER), Align::FirstUse).unwrap();
    for (fixed, patience) in [(false, Some(25)), (true, Some(25)), (true, None)] {
        let join = |cost, fixed, patience| Event::Join { cost, fixed, ticket: None, patience };
        let line = [join(5, false, None), join(3, false, None), join(2, true, None)];
        // The first leaves after its turn, so the second has gone, and the third is to go then too.
        let more =
            [Event::Pass(30), Event::Leave(2), join(3, false, None), join(2, fixed, patience)];
        let end = [Event::Pass(2), Event::Leave(3), Event::Pass(18)];
        let mut twins = Twins::new(&first_use);
        twins.happen(&Event::Take(5));
        line.iter().chain(&more).chain(&end).for_each(|event| twins.happen(event));

        let (now, place) = (Instant::from_nanos(50), twins.places[4].unwrap());
        assert_eq!(now, twins.now);
        let answer = match fixed {
            true => twins.store.arrived(place, Some(now)),
            false => twins.store.claim(place, read(now)).unwrap(),
        };

        let pending = answer.unwrap_err();
        assert_eq!(Instant::from_nanos(60), pending.due, "the window is full until then");
        let refused = RetryAfter::After(Duration::from_nanos(10));
        assert_eq!(patience.map(|_| refused), pending.refused);
        let is_known = twins.store.shard(KEY).lines[&KEY].find(place.id).is_some();
        assert_eq!(patience.is_none(), is_known);
    }
}

/// A bucket cools while nobody goes, and the next is dearer by that.
#[test]
fn who_cannot_be_moved_goes_later_where_a_bucket_has_cooled_meanwhile() {
    let rate = Rate::new(1, Duration::from_nanos(2_000)).unwrap();
    let warm_up = WarmUp::new(LIMIT, rate, Duration::from_nanos(60_000), 3.0).unwrap();
    let mut twins = Twins::new(&warm_up);
    twins.happen(&Event::Take(5));
    for (cost, fixed) in [(5, false), (5, true), (5, true)] {
        twins.happen(&Event::Join { cost, fixed, ticket: None, patience: None });
    }
    let told = |twins: &Twins<_>| twins.eager.armed(2);
    let last = told(&twins);
    twins.happen(&Event::Leave(2));

    twins.now = twins.eager.armed(1);
    twins.happen(&Event::Arrive(1));
    twins.now = last;
    twins.happen(&Event::Arrive(0));

    assert!(told(&twins) > last, "it is told to sleep on");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn those_who_wait_for_fixed_windows_go_as_planned(events in events(), first_use: bool) {
        let align = if first_use { Align::FirstUse } else { Align::Clock };
        run(&FixedCount::new(LIMIT, Duration::from_nanos(PER), align).unwrap(), &events);
    }

    #[test]
    fn those_who_wait_for_the_counter_go_as_planned(events in events()) {
        run(&SlidingCount::new(LIMIT, Duration::from_nanos(PER)).unwrap(), &events);
    }

    #[test]
    fn those_who_wait_for_the_log_go_as_planned(events in events()) {
        run(&SlidingLog::new(LIMIT, Duration::from_nanos(PER)).unwrap(), &events);
    }

    #[test]
    fn those_who_wait_for_a_bucket_that_warms_up_go_as_planned(
        events in events(), per in 2000_u64..6000, warm_up in 1_u64..60_000, cold in 1.001_f64..6.0,
    ) {
        let rate = Rate::new(2, Duration::from_nanos(per)).unwrap();
        // The rate is a million a second at most.
        let events: Vec<_> = events.into_iter().map(|event| event.slower(300)).collect();
        let warm_up = WarmUp::new(LIMIT, rate, Duration::from_nanos(warm_up), cold);
        run(&warm_up.unwrap(), &events);
    }
}
