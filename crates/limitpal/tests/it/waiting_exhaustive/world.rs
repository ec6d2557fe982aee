//! One schedule as it happens: real waiters on a mock clock, held against the model at each step.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use limitpal::{AnyLimiter, Cost, Instant, MockClock, RateLimitExceeded};

use super::explore::World;
use super::subject::{Ideal, Subject};
use super::{Action, Case, Pollers};
use crate::models::span;

type Acquire = Pin<Box<dyn Future<Output = Result<(), RateLimitExceeded>>>>;

/// What a task hears.
#[derive(Default)]
struct Heard {
    wakes: AtomicU32,
    woken: AtomicBool,
    /// Which of its wakers is the last.
    latest: AtomicU32,
}

/// A waker; one that was replaced wakes nobody.
struct Bell {
    heard: Arc<Heard>,
    number: u32,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.heard.wakes.fetch_add(1, Ordering::Relaxed);
        if self.number == self.heard.latest.load(Ordering::Relaxed) {
            self.heard.woken.store(true, Ordering::Relaxed);
        }
    }
}

struct Waiter {
    /// None once it was granted or has left.
    future: Option<Acquire>,
    cost: u64,
    heard: Arc<Heard>,
    bell: Arc<Bell>,
    granted: Option<i64>,
    /// Whether it was let go when nothing had woken it.
    unasked: bool,
    waited: bool,
    /// How many before it have left since it came.
    moves: u32,
    /// Whether anybody has left since it was last polled.
    stirred: bool,
}

/// A limiter, those who came for it, and what the model says of them.
pub(super) struct Movable<S: Subject> {
    case: Case<S>,
    clock: MockClock,
    limiter: AnyLimiter,
    waiters: Vec<Waiter>,
    /// Who left after its turn had come has given back all that could be.
    generous: S::Model,
    /// Who left after its turn had come has given back nothing.
    stingy: S::Model,
    /// Nobody has left.
    patient: S::Model,
    allowed: Vec<i64>,
    somebody_left: bool,
    allowed_since: bool,
    last: Option<Action>,
}

impl<S: Subject> Movable<S> {
    pub(super) fn new(case: Case<S>) -> Self {
        // Nothing is special about zero.
        let start = 1_000_000_007;
        let clock = MockClock::starting_at(Instant::from_nanos(start));
        let limiter = case.settings.limiter(case.per_key, &clock);
        let model = case.settings.model(start);
        let (generous, stingy, patient) = (model.clone(), model.clone(), model);
        let (waiters, allowed) = (Vec::new(), Vec::new());
        let (somebody_left, allowed_since, last) = (false, false, None);
        let mut world = Self {
            case,
            clock,
            limiter,
            waiters,
            generous,
            stingy,
            patient,
            allowed,
            somebody_left,
            allowed_since,
            last,
        };
        (0..case.taken).for_each(|_| world.allow());
        (0..case.before).for_each(|_| world.arrive());
        world
    }

    fn now(&self) -> i64 {
        self.clock.now().as_nanos()
    }

    fn models(&mut self) -> [&mut S::Model; 3] {
        [&mut self.generous, &mut self.stingy, &mut self.patient]
    }

    fn deadline(&self) -> i64 {
        let deadline = self.clock.next_deadline().expect("only offered where somebody sleeps");
        deadline.as_nanos().try_into().unwrap()
    }

    fn arrive(&mut self) {
        let (who, limiter) = (self.waiters.len(), self.limiter.clone());
        let cost = self.case.costs[who];
        let ask = ("k", Cost::new(cost).unwrap());
        let future: Acquire = Box::pin(async move { limiter.acquire(ask).await });
        self.waiters.push(Waiter::new(future, cost));
        self.models().into_iter().for_each(|model| model.join(who, cost));
        self.poll(who);
        self.waiters[who].waited = self.waiters[who].granted.is_none();
    }

    fn poll(&mut self, who: usize) {
        let now = self.now();
        let waiter = &mut self.waiters[who];
        waiter.poll(now, self.case.new_wakers);
        if waiter.granted.is_some() {
            assert!(self.generous.turn(who).is_some(), "{who} went before its turn");
        } else {
            assert_eq!(None, self.stingy.turn(who), "{who} was not let go");
        }
    }

    fn leave(&mut self, who: usize) {
        self.waiters[who].future = None;
        let late = self.generous.turn(who).is_some_and(|turn| turn < self.now());
        self.generous.undo(who);
        self.stingy.undo_at_least(who, late);
        self.somebody_left = true;
        for waiter in &mut self.waiters[who + 1..] {
            waiter.moves += 1;
            waiter.stirred = true;
        }
    }

    fn allow(&mut self) {
        let allowed = self.limiter.allow("k");
        if allowed {
            assert!(self.generous.allows(1), "let in past the line, or over the rate");
            self.models().into_iter().for_each(|model| model.take(1));
            self.allowed.push(self.now());
            self.allowed_since |= self.somebody_left;
        } else {
            assert!(!self.stingy.allows(1), "refused though there was room");
        }
    }

    /// Lets time pass, by at most so much: those who are prompt miss no deadline.
    fn pass(&mut self, most: i64) {
        let mut step = most;
        if self.case.pollers == Pollers::Prompt {
            self.settle();
            step = self.clock.next_deadline().map_or(most, |_| most.min(self.deadline()));
        }
        self.clock.advance(span(step));
        let now = self.now();
        self.models().into_iter().for_each(|model| model.pass(now));
    }

    /// Polls whoever was woken, until nobody is.
    fn settle(&mut self) {
        let woken = |waiter: &Waiter| waiter.is_waiting() && waiter.is_woken();
        while let Some(who) = self.waiters.iter().position(woken) {
            self.poll(who);
        }
    }

    /// Each goes in its turn, to the nanosecond and in the order of arrival; nobody goes later for
    /// somebody else's leaving, and no window sees more than it may.
    fn check_turns(&self) {
        let granted = |who: usize| self.waiters[who].granted.map(|at| (who, at));
        let grants: Vec<_> = (0..self.waiters.len()).filter_map(granted).collect();
        for (who, at) in &grants {
            let [least, most] = [&self.generous, &self.stingy].map(|model| model.turn(*who));
            assert!(least <= Some(*at) && Some(*at) <= most, "{at}, not in {least:?}..={most:?}");
            let undisturbed = self.patient.turn(*who);
            let later = undisturbed.is_some_and(|turn| turn < *at);
            let may_be = self.allowed_since || !self.case.settings.is_steady();
            assert!(may_be || !later, "{who} was due at {undisturbed:?}, not {at}");
        }
        assert!(grants.is_sorted_by_key(|(_, at)| *at), "overtaken: {grants:?}");

        let costs = grants.iter().map(|(who, at)| (*at, self.waiters[*who].cost));
        let mut takes: Vec<_> = costs.chain(self.allowed.iter().map(|at| (*at, 1))).collect();
        takes.sort_unstable();
        assert_eq!(None, self.case.settings.broken_window(&takes));
    }

    /// Nothing is lost: the bucket is as new when the model says, and holds its capacity then.
    fn check_bucket(&self) {
        let capacity = self.case.settings.capacity();
        let after = self.limiter.peek("k").reset_after;
        let fresh = (self.clock.now() + after).as_nanos();
        let [least, most] = [&self.generous, &self.stingy].map(|model| model.clone().fresh_at());
        let [least, most] = [least, most].map(|fresh| fresh.max(self.now()));
        assert!((least..=most).contains(&fresh), "as new at {fresh}, not in {least}..={most}");

        self.clock.advance(after);
        assert_eq!(capacity, self.limiter.peek("k").remaining);
        assert!(self.limiter.allow(("k", Cost::new(capacity.into()).unwrap())));
        assert!(!self.limiter.allow("k"));
    }
}

impl<S: Subject> World for Movable<S> {
    type Action = Action;

    fn options(&self) -> Vec<Action> {
        let mut options = Vec::new();
        options.extend((self.waiters.len() < self.case.costs.len()).then_some(Action::Arrive));
        for (who, waiter) in self.waiters.iter().enumerate().filter(|(_, one)| one.is_waiting()) {
            let stirred = waiter.stirred || waiter.is_woken() || self.case.idle_polls;
            if stirred && self.last != Some(Action::Poll(who)) {
                options.push(Action::Poll(who));
            }
            options.push(Action::Leave(who));
        }
        options.extend(self.clock.next_deadline().map(|_| Action::Jump));
        options.extend((self.last != Some(Action::Pass)).then_some(Action::Pass));
        options.extend((self.last != Some(Action::Allow)).then_some(Action::Allow));
        options
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive => self.arrive(),
            Action::Poll(who) => self.poll(who),
            Action::Leave(who) => self.leave(who),
            Action::Jump => self.pass(self.deadline()),
            Action::Pass => self.pass(self.case.settings.part()),
            Action::Allow => self.allow(),
        }
        self.last = Some(action);
    }

    fn finish(mut self) {
        self.settle();
        while self.waiters.iter().any(Waiter::is_waiting) {
            assert!(self.clock.next_deadline().is_some(), "somebody waits for ever");
            self.pass(self.deadline());
            self.settle();
        }
        assert_eq!(None, self.clock.next_deadline(), "a sleep has outlived its sleeper");

        self.waiters.iter().for_each(Waiter::check_wakes);
        if self.case.pollers == Pollers::Prompt {
            self.check_turns();
        }
        self.check_bucket();
    }
}

impl Waiter {
    fn new(future: Acquire, cost: u64) -> Self {
        let heard = Arc::new(Heard::default());
        let bell = Arc::new(Bell { heard: Arc::clone(&heard), number: 0 });
        let (granted, unasked, waited, moves, stirred) = (None, false, false, 0, false);
        Self { future: Some(future), cost, heard, bell, granted, unasked, waited, moves, stirred }
    }

    fn is_waiting(&self) -> bool {
        self.future.is_some()
    }

    fn is_woken(&self) -> bool {
        self.heard.woken.load(Ordering::Relaxed)
    }

    /// Polls, with a waker of its own if wakers are `new` each time.
    fn poll(&mut self, now: i64, new: bool) {
        let Some(future) = &mut self.future else { return };
        if new {
            let number = self.heard.latest.fetch_add(1, Ordering::Relaxed) + 1;
            self.bell = Arc::new(Bell { heard: Arc::clone(&self.heard), number });
        }
        let woken = self.heard.woken.swap(false, Ordering::Relaxed);
        self.stirred = false;
        let waker = Waker::from(Arc::clone(&self.bell));
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            assert_eq!(Ok(()), answer);
            (self.granted, self.unasked) = (Some(now), !woken);
            self.future = None;
        }
    }

    /// One wake for the grant, one at most for each move, and no waker kept.
    fn check_wakes(&self) {
        let wakes = self.heard.wakes.load(Ordering::Relaxed);
        let least = u32::from(self.granted.is_some() && !self.unasked);
        let most = u32::from(self.waited) * (1 + self.moves);
        assert!((least..=most).contains(&wakes), "{wakes} wakes, {} moves", self.moves);
        assert_eq!(1, Arc::strong_count(&self.bell), "a waker was kept");
    }
}
