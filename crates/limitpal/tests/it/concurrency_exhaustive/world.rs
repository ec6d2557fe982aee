//! One schedule as it happens: real futures on a mock clock, held against the model at each step.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{
    ConcurrencyLimiter, ConcurrencyPermit, Cost, Instant, MockClock, RateLimitExceeded, RetryAfter,
};

use super::model::{Fate, Model};
use super::{Action, Case};
use crate::waiting_exhaustive::explore::World;

type Acquire = Pin<Box<dyn Future<Output = Result<ConcurrencyPermit, RateLimitExceeded>>>>;

/// Counts the wakes of one task by its present waker.
#[derive(Default)]
struct Bell(AtomicU32);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Comer {
    /// None once it was answered or has left.
    future: Option<Acquire>,
    permit: Option<ConcurrencyPermit>,
    deadline: Option<Instant>,
    /// All its wakers so far.
    bells: Vec<Arc<Bell>>,
    /// How often it should have been woken, by the last of its wakers each time.
    wakes: u32,
}

/// A limiter, those who came for permits, and what the model says of them.
pub(super) struct Gate {
    case: Case,
    clock: MockClock,
    limiter: ConcurrencyLimiter,
    model: Model,
    comers: Vec<Comer>,
    last: Option<Action>,
}

impl Gate {
    pub(super) fn new(case: Case) -> Self {
        let clock = MockClock::new();
        let mut builder =
            ConcurrencyLimiter::builder(case.limit).per_key(case.per_key).clock(&clock);
        if let Some(most) = case.max_waiting {
            builder = builder.max_waiting(most);
        }
        let limiter = builder.build().unwrap();
        let model = Model::new(case.limit, case.max_waiting);
        let mut world = Self { case, clock, limiter, model, comers: Vec::new(), last: None };
        (0..case.before).for_each(|_| world.arrive());
        world
    }

    fn arrive(&mut self) {
        let (who, limiter) = (self.comers.len(), self.limiter.clone());
        let (cost, timeout) = self.case.comers[who];
        let timeout = timeout.map(Duration::from_secs);
        let ask = ("k", Cost::new(cost.into()).unwrap());
        self.comers.push(Comer {
            future: Some(Box::pin(async move {
                match timeout {
                    Some(timeout) => limiter.acquire_timeout(ask, timeout).await,
                    None => limiter.acquire(ask).await,
                }
            })),
            permit: None,
            deadline: timeout.map(|timeout| self.clock.now() + timeout),
            bells: vec![Arc::default()],
            wakes: 0,
        });
        self.model.arrive(cost);
        self.poll(who);
    }

    fn poll(&mut self, who: usize) {
        let over = self.comers[who].deadline.is_some_and(|deadline| deadline <= self.clock.now());
        if over && self.model.fate(who) == Fate::Waits {
            let let_in = self.model.end(who, Fate::Refused);
            self.expect_wakes(&let_in);
        }
        let answer = self.comers[who].poll(self.case.new_wakers);
        match (self.model.fate(who), answer) {
            (Fate::Waits, None) => {}
            (Fate::Inside, Some(Ok(permit))) => self.comers[who].permit = Some(permit),
            (fate @ (Fate::Refused | Fate::Never), Some(Err(refusal))) => {
                let never = refusal.retry_after() == RetryAfter::Never;
                assert_eq!(fate == Fate::Never, never, "{refusal}");
            }
            (fate, answer) => panic!("{who} heard {answer:?}, but {fate:?}"),
        }
    }

    fn leave(&mut self, who: usize) {
        // First: whoever is woken by it must not be counted twice.
        let changed = self.model.end(who, Fate::Gone);
        self.expect_wakes(&changed);
        self.comers[who].future = None;
    }

    fn release(&mut self, who: usize) {
        let changed = self.model.end(who, Fate::Gone);
        self.expect_wakes(&changed);
        self.comers[who].permit.take().expect("it has one").release();
    }

    fn expect_wakes(&mut self, of: &[usize]) {
        of.iter().for_each(|who| self.comers[*who].wakes += 1);
    }

    fn jump(&mut self) {
        self.clock.advance(self.clock.next_deadline().expect("only offered where there is one"));
        let now = self.clock.now();
        for comer in self.comers.iter_mut().filter(|comer| comer.future.is_some()) {
            comer.wakes += u32::from(comer.deadline == Some(now));
        }
    }

    fn change(&mut self) {
        let Case { limit, other_limit, .. } = self.case;
        let limit = if self.model.limit() == limit { other_limit } else { limit };
        let changed = self.model.change(limit);
        self.expect_wakes(&changed);
        self.limiter.set_limit(limit).unwrap();
    }

    fn try_one(&mut self) {
        let admits = self.model.admits(1);
        let permit = self.limiter.try_acquire("k");
        assert_eq!(admits, permit.is_some(), "somebody who does not wait");
    }

    /// The limiter is as the model has it, and each was woken as often as it should be.
    fn check(&self) {
        let Self { limiter, model, .. } = self;
        let (inside, waiting) = (model.inside(), model.waiting());
        assert_eq!((inside, waiting), (limiter.in_flight("k"), limiter.waiting("k")));
        let is_there = inside > 0 || waiting > 0;
        assert_eq!((is_there, usize::from(is_there)), (limiter.contains("k"), limiter.len()));
        for (who, comer) in self.comers.iter().enumerate() {
            assert_eq!(comer.wakes, comer.heard(), "{who} was woken too often, or not");
        }
    }
}

impl World for Gate {
    type Action = Action;

    fn options(&self) -> Vec<Action> {
        let mut options = Vec::new();
        options.extend((self.comers.len() < self.case.comers.len()).then_some(Action::Arrive));
        for (who, comer) in self.comers.iter().enumerate() {
            if comer.future.is_some() {
                options.extend((self.last != Some(Action::Poll(who))).then_some(Action::Poll(who)));
                options.push(Action::Leave(who));
            }
            options.extend(comer.permit.is_some().then_some(Action::Release(who)));
        }
        options.extend(self.clock.next_deadline().map(|_| Action::Jump));
        let changes = self.case.limit != self.case.other_limit;
        options.extend((changes && self.last != Some(Action::Change)).then_some(Action::Change));
        // Twice in a row is once, but something has to happen.
        let tries = self.last != Some(Action::Try) || options.is_empty();
        options.extend(tries.then_some(Action::Try));
        options
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive => self.arrive(),
            Action::Poll(who) => self.poll(who),
            Action::Leave(who) => self.leave(who),
            Action::Release(who) => self.release(who),
            Action::Try => self.try_one(),
            Action::Jump => self.jump(),
            Action::Change => self.change(),
        }
        self.last = Some(action);
        self.check();
    }

    /// Whoever is woken goes on, and works until nobody else does; then all have been answered.
    fn finish(mut self) {
        while let Some(who) = self.comers.iter().position(|comer| comer.permit.is_some()) {
            self.release(who);
            self.answer_all();
        }
        self.answer_all();
        while let Some(who) = self.comers.iter().position(|comer| comer.permit.is_some()) {
            self.release(who);
            self.answer_all();
        }
        assert!(self.comers.iter().all(|comer| comer.future.is_none()), "somebody waits for ever");
        assert!(self.limiter.is_empty(), "a permit was lost");
        assert_eq!(None, self.clock.next_deadline(), "a timer has outlived its wait");
        for bell in self.comers.iter().flat_map(|comer| &comer.bells) {
            assert_eq!(1, Arc::strong_count(bell), "a waker was kept");
        }
    }
}

impl Gate {
    /// Polls whoever has something to hear.
    fn answer_all(&mut self) {
        while let Some(who) = (0..self.comers.len())
            .find(|who| self.comers[*who].future.is_some() && self.model.fate(*who) != Fate::Waits)
        {
            self.poll(who);
            self.check();
        }
    }
}

impl Comer {
    fn poll(&mut self, new: bool) -> Option<Result<ConcurrencyPermit, RateLimitExceeded>> {
        let future = self.future.as_mut()?;
        if new {
            self.bells.push(Arc::default());
        }
        let bell = self.bells.last().expect("there is one from the start");
        let waker = Waker::from(Arc::clone(bell));
        let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) else {
            return None;
        };
        self.future = None;
        Some(answer)
    }

    fn heard(&self) -> u32 {
        self.bells.iter().map(|bell| bell.0.load(Ordering::Relaxed)).sum()
    }
}
