//! Sleepers that cannot be moved beside some that can: places that are freed before them go to
//! newcomers, and are neither given twice nor lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use limitpal::parts::{Bucket, Fingerprint, Keyed, KeyedOptions, Pace, Place, Request, Turn};
use limitpal::{AnyLimiter, Cost, Instant, MockClock, RateLimitExceeded, SharedClock};

use super::explore::{World, explore};
use super::model::Model;
use super::subject::Ideal;
use super::{MIXED, ONES, longer_in_release};
use crate::models::{ExactRate, Kind, Settings};
use crate::waiters::Bells;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// The next one comes, and cannot be moved if so.
    Arrive(bool),
    Leave(usize),
    /// Time passes until the next sleep ends.
    Jump,
    /// Somebody asks who does not wait.
    Allow,
}

/// What the schedules are about.
#[derive(Clone, Copy, Debug)]
struct Case {
    settings: Settings,
    per_key: bool,
    /// What each takes, in turn.
    costs: &'static [u64],
    /// Who of the four that have come when the schedule starts cannot be moved, in bits.
    fixed: u32,
}

type Acquire = Pin<Box<dyn Future<Output = Result<(), RateLimitExceeded>>>>;

/// How one waits.
enum Bed {
    Task(Acquire),
    Fixed(Place),
}

struct Waiter {
    bed: Option<Bed>,
    cost: u64,
    /// When it was told, as it came, that it would go.
    told: Instant,
    granted: Option<Instant>,
}

/// A limiter, and those who came for it.
struct Mixed {
    case: Case,
    clock: MockClock,
    keyed: Arc<Keyed<SharedClock>>,
    limiter: AnyLimiter,
    key: Fingerprint,
    bells: Bells,
    waiters: Vec<Waiter>,
    allowed: Vec<Instant>,
    /// Nobody has left.
    patient: Model,
}

impl Mixed {
    fn new(case: Case) -> Self {
        let Settings { kind, capacity, rate, .. } = case.settings;
        let pace = if kind == Kind::Token { Pace::Burst } else { Pace::Even };
        let start = Instant::from_nanos(1_000_000_007);
        let clock = MockClock::starting_at(start);
        let options = KeyedOptions { per_key: case.per_key, ..KeyedOptions::default() };
        let bucket = Bucket::new(capacity, rate.rate, pace).unwrap();
        let keyed = Arc::new(Keyed::new(bucket, options, SharedClock::from(&clock)).unwrap());
        let limiter = AnyLimiter::from(Arc::clone(&keyed));
        let Ok(key) = keyed.fingerprint("k");
        let patient = Model::new(case.settings, start.as_nanos());
        let (bells, waiters, allowed) = (Bells::default(), Vec::new(), Vec::new());
        let mut world = Self { case, clock, keyed, limiter, key, bells, waiters, allowed, patient };
        (0..if kind == Kind::Token { capacity } else { 1 }).for_each(|_| world.allow());
        (0..4).for_each(|who| world.arrive(case.fixed >> who & 1 == 1));
        world
    }

    fn waiting(&self) -> impl Iterator<Item = usize> {
        (0..self.waiters.len()).filter(|who| self.waiters[*who].bed.is_some())
    }

    fn arrive(&mut self, fixed: bool) {
        let who = self.waiters.len();
        let cost = self.case.costs[who % self.case.costs.len()];
        let (now, request) =
            (self.clock.now(), Request { cost, timeout: None, fixed, ticket: None });
        let Ok(wait) = self.keyed.quote(self.key, request);
        let told = now + wait.duration().expect("nobody waits for ever");
        self.patient.join(who, cost);
        assert!(told.as_nanos() <= self.patient.clone().turn_to_come(who), "told {told:?}");

        let mut waiter = Waiter { bed: None, cost, told, granted: None };
        if fixed {
            match self.keyed.store().reserve(self.key, request, || Ok::<_, ()>(now)) {
                Ok(Turn::Wait(place, wait)) => {
                    assert_eq!(told, now + wait);
                    waiter.bed = Some(Bed::Fixed(place));
                }
                Ok(Turn::Now(_)) => waiter.granted = Some(now),
                other => panic!("{other:?}"),
            }
        } else {
            let (limiter, ask) = (self.limiter.clone(), ("k", Cost::new(cost).unwrap()));
            waiter.bed = Some(Bed::Task(Box::pin(async move { limiter.acquire(ask).await })));
        }
        self.waiters.push(waiter);
        self.poll(who);
    }

    fn poll(&mut self, who: usize) {
        let (waiter, waker) = (&mut self.waiters[who], self.bells.waker(who));
        let Some(Bed::Task(acquire)) = &mut waiter.bed else { return };
        if let Poll::Ready(answer) = acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            assert_eq!(Ok(()), answer);
            (waiter.bed, waiter.granted) = (None, Some(self.clock.now()));
        }
    }

    fn leave(&mut self, who: usize) {
        if let Some(Bed::Fixed(place)) = self.waiters[who].bed.take() {
            self.keyed.store().leave(place, Some(self.clock.now()));
        }
        self.settle();
    }

    fn allow(&mut self) {
        if self.limiter.allow("k") {
            self.allowed.push(self.clock.now());
            self.patient.take(1);
        }
    }

    /// Lets sleepers go whose time is up, and polls whoever is woken.
    fn settle(&mut self) {
        let now = self.clock.now();
        for waiter in &mut self.waiters {
            let place = match waiter.bed {
                Some(Bed::Fixed(place)) if waiter.told <= now => place,
                _ => continue,
            };
            self.keyed.store().arrived(place, Some(now)).unwrap();
            (waiter.bed, waiter.granted) = (None, Some(now));
        }
        while let Some(who) = self.bells.next() {
            self.poll(who);
        }
    }

    /// Returns how long it is until the next sleep ends.
    fn deadline(&self) -> Option<Duration> {
        let now = self.clock.now();
        let is_fixed = |waiter: &&Waiter| matches!(waiter.bed, Some(Bed::Fixed(_)));
        let fixed = self.waiters.iter().filter(is_fixed);
        let fixed = fixed.map(|waiter| waiter.told.saturating_duration_since(now)).min();
        fixed.into_iter().chain(self.clock.next_deadline()).min()
    }

    fn jump(&mut self) {
        self.clock.advance(self.deadline().expect("only offered where somebody sleeps"));
        self.patient.pass(self.clock.now().as_nanos());
        self.settle();
    }
}

impl World for Mixed {
    type Action = Action;

    fn options(&self) -> Vec<Action> {
        let arrivals = if self.waiters.len() < 5 { 2 } else { 0 };
        let mut options = vec![Action::Arrive(false), Action::Arrive(true)];
        options.truncate(arrivals);
        options.extend(self.waiting().map(Action::Leave));
        options.extend(self.deadline().map(|_| Action::Jump));
        options.push(Action::Allow);
        options
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive(fixed) => self.arrive(fixed),
            Action::Leave(who) => self.leave(who),
            Action::Jump => self.jump(),
            Action::Allow => self.allow(),
        }
    }

    fn finish(mut self) {
        while self.waiting().next().is_some() {
            assert!(self.deadline().is_some(), "somebody waits for ever");
            self.jump();
        }
        let granted = self.waiters.iter().filter_map(|waiter| Some((waiter, waiter.granted?)));
        for (waiter, at) in granted.clone() {
            assert!(at <= waiter.told, "told {:?}, went at {at:?}", waiter.told);
        }
        let waited = granted.map(|(waiter, at)| (at.as_nanos(), waiter.cost));
        let allowed = self.allowed.iter().map(|at| (at.as_nanos(), 1));
        let mut takes: Vec<_> = waited.chain(allowed).collect();
        takes.sort_unstable();
        assert_eq!(None, self.case.settings.broken_window(&takes));

        let after = self.limiter.peek("k").reset_after;
        let fresh = (self.clock.now() + after).as_nanos();
        let patient = self.patient.fresh_at().max(self.clock.now().as_nanos());
        assert!(fresh <= patient, "as new at {fresh}, not by {patient}");
    }
}

/// The third moved up to the place that the second had left and a newcomer then took: two went at
/// an instant at which one was allowed.
#[test]
fn a_freed_place_goes_to_one_who_moves_up_or_to_a_newcomer_and_not_to_both() {
    let settings = Settings::new(Kind::Token, 1, ExactRate::new(5.0, 5, 1));
    for per_key in [true, false] {
        let case = Case { settings, per_key, costs: ONES, fixed: 0b1000 };
        let mut world = Mixed::new(case);
        for action in [1, 3, 0].map(Action::Leave) {
            world.act(action);
        }
        world.act(Action::Arrive(true));
        world.finish();
    }
}

#[test]
fn a_place_freed_before_one_who_cannot_be_moved_is_given_once_and_not_lost() {
    let (thirds, whole) = (ExactRate::new(3.0, 3, 1), ExactRate::new(5.0, 5, 1));
    let buckets = [
        (Kind::Token, 1, thirds, true, ONES),
        (Kind::Token, 3, whole, false, MIXED),
        (Kind::Leaky, 3, thirds, true, MIXED),
    ];
    for (kind, capacity, rate, per_key, costs) in buckets {
        // With none of them fixed it is as without: see `super`.
        for fixed in 1..16 {
            let settings = Settings::new(kind, capacity, rate);
            let case = Case { settings, per_key, costs, fixed };
            let schedules = explore(&case, longer_in_release(4), || Mixed::new(case));
            assert!(schedules > 1000, "{schedules} schedules are not all");
        }
    }
}
