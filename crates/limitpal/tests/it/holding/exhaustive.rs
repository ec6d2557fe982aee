//! Every schedule of up to four who want quota and permits of two pools, in either order: come,
//! polled, dropped where they stand, given back, while time passes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use limitpal::{CompositePermit, ConcurrencyLimiter, HoldingLimiter, MockClock, TokenBucket};

use super::{Answer, SECOND, bucket, pool};
use crate::waiting_exhaustive::explore::{World, explore};

/// What one of them asks for.
#[derive(Clone, Copy, Debug)]
enum Wants {
    /// Quota, the one pool and the other, in this order.
    Both,
    /// The same, asked in the other order, and no quota.
    Turned,
    /// The one pool.
    One,
    /// Quota and the other pool.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    Arrive,
    /// One is polled, woken or not.
    Poll(usize),
    Leave(usize),
    Release(usize),
    /// Time passes until the next place in the bucket's line comes up.
    Jump,
}

#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Comer {
    wants: Wants,
    future: Option<Pin<Box<dyn Future<Output = Answer>>>>,
    permit: Option<CompositePermit>,
    bell: Arc<Bell>,
}

impl Comer {
    fn is_woken(&self) -> bool {
        self.future.is_some() && self.bell.0.load(Ordering::Relaxed)
    }
}

struct Place {
    clock: MockClock,
    bucket: TokenBucket,
    pools: [ConcurrencyLimiter; 2],
    coming: &'static [Wants],
    comers: Vec<Comer>,
    last: Option<Action>,
}

impl Place {
    /// Starts with the bucket empty, so that quota is waited for too.
    fn new(coming: &'static [Wants]) -> Self {
        let clock = MockClock::new();
        let (bucket, pools) = (bucket(&clock, 1), [pool(&clock, 1), pool(&clock, 1)]);
        assert!(bucket.allow("k"));
        Self { clock, bucket, pools, coming, comers: Vec::new(), last: None }
    }

    fn limiter(&self, wants: Wants) -> HoldingLimiter {
        let [one, other] = self.pools.each_ref().map(|pool| HoldingLimiter::from(pool.clone()));
        let quota = HoldingLimiter::from(self.bucket.clone());
        HoldingLimiter::new(match wants {
            Wants::Both => vec![quota, one, other],
            Wants::Turned => vec![other, one],
            Wants::One => vec![one],
            Wants::Other => vec![other, quota],
        })
        .unwrap()
    }

    fn poll(&mut self, who: usize) {
        let comer = &mut self.comers[who];
        let Some(future) = &mut comer.future else { return };
        comer.bell.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&comer.bell));
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            comer.permit = Some(answer.expect("it waits as long as it takes"));
            comer.future = None;
        }
    }

    /// Who holds a permit of each pool; once nobody is woken, nobody else has one.
    fn check(&self) {
        let holders = |has: fn(Wants) -> bool| {
            let holds = |comer: &&Comer| comer.permit.is_some() && has(comer.wants);
            self.comers.iter().filter(holds).count()
        };
        let held = [
            holders(|wants| !matches!(wants, Wants::Other)),
            holders(|wants| !matches!(wants, Wants::One)),
        ];
        let in_flight = self.pools.each_ref().map(|pool| pool.in_flight("k") as usize);
        let woken = self.comers.iter().filter(|comer| comer.is_woken()).count();
        for (held, in_flight) in held.into_iter().zip(in_flight) {
            assert!(held <= in_flight && in_flight <= 1, "{held} are held, {in_flight} are out");
            assert!(woken > 0 || held == in_flight, "somebody who waits holds a permit");
        }
        let waiting: usize = self.pools.iter().map(|pool| pool.waiting("k")).sum();
        let there = self.comers.iter().filter(|comer| comer.future.is_some()).count();
        assert!(waiting <= there, "somebody stands in two lines");
    }

    fn jump(&mut self) {
        self.clock.advance(self.clock.next_deadline().expect("only offered where there is one"));
    }

    /// Polls whoever is woken, until nobody is.
    fn settle(&mut self) {
        for _ in 0..100 {
            let Some(who) = self.comers.iter().position(Comer::is_woken) else { return };
            self.poll(who);
            self.check();
        }
        panic!("they wake each other for ever");
    }
}

impl World for Place {
    type Action = Action;

    fn options(&self) -> Vec<Action> {
        let mut options = Vec::new();
        options.extend((self.comers.len() < self.coming.len()).then_some(Action::Arrive));
        for (who, comer) in self.comers.iter().enumerate() {
            if comer.future.is_some() {
                options.extend((self.last != Some(Action::Poll(who))).then_some(Action::Poll(who)));
                options.push(Action::Leave(who));
            }
            options.extend(comer.permit.is_some().then_some(Action::Release(who)));
        }
        let is_deadline = self.clock.next_deadline().is_some();
        options.extend((is_deadline || options.is_empty()).then_some(Action::Jump));
        options
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Arrive => {
                let (who, wants) = (self.comers.len(), self.coming[self.comers.len()]);
                let limiter = self.limiter(wants);
                let future = Box::pin(async move { limiter.acquire("k").await });
                let (permit, bell) = (None, Arc::default());
                self.comers.push(Comer { wants, future: Some(future), permit, bell });
                self.poll(who);
            }
            Action::Poll(who) => self.poll(who),
            Action::Leave(who) => self.comers[who].future = None,
            Action::Release(who) => self.comers[who].permit = None,
            Action::Jump if self.clock.next_deadline().is_some() => self.jump(),
            Action::Jump => self.clock.advance(SECOND),
        }
        self.last = Some(action);
        self.check();
    }

    fn finish(mut self) {
        for _ in 0..100 {
            self.settle();
            match self.comers.iter().position(|comer| comer.permit.is_some()) {
                Some(who) => self.comers[who].permit = None,
                None if self.comers.iter().any(|comer| comer.future.is_some()) => self.jump(),
                None => break,
            }
        }
        assert!(self.comers.iter().all(|comer| comer.future.is_none()), "somebody waits for ever");
        assert!(self.pools.iter().all(ConcurrencyLimiter::is_empty), "a permit was lost");
        assert_eq!(None, self.clock.next_deadline(), "a timer has outlived its wait");
        self.clock.advance(2 * SECOND);
        assert_eq!(1.0, self.bucket.tokens("k"), "quota was lost");
        for comer in &self.comers {
            assert_eq!(1, Arc::strong_count(&comer.bell), "a waker was kept");
        }
    }
}

#[test]
fn nobody_holds_what_it_does_not_use_and_nobody_waits_for_ever() {
    const ALL: [&[Wants]; 4] = [
        &[Wants::Both, Wants::Turned, Wants::Both, Wants::One],
        &[Wants::One, Wants::Both, Wants::Turned, Wants::Both],
        &[Wants::Other, Wants::Turned, Wants::Both, Wants::Turned],
        &[Wants::One, Wants::Other, Wants::Both, Wants::Turned],
    ];
    let length = if cfg!(debug_assertions) { 7 } else { 9 };
    for coming in ALL {
        let schedules = explore(&coming, length, || Place::new(coming));
        assert!(schedules > 1_000, "{schedules} schedules are not all");
    }
}
