//! One bucket for everybody: decided without a lock, and as any other.

use std::future::Future;
use std::sync::Barrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use limitpal::{AnyLimiter, Cost, MockClock, Quota, Rate, TokenBucket};
use proptest::prelude::*;

use crate::models::{Kind, Settings, settings};

/// What may happen to a bucket.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    Allow(u64),
    Check(u64),
    Peek(u64),
    Acquire(u64, u64),
    GiveBack(usize),
    Reset,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let cost = prop_oneof![3 => Just(1_u64), 1 => 1_u64..5];
    let event = prop_oneof![
        3 => (0_u64..2_000_000_000).prop_map(Event::Pass),
        4 => cost.clone().prop_map(Event::Allow),
        2 => cost.clone().prop_map(Event::Check),
        2 => cost.clone().prop_map(Event::Peek),
        4 => (cost, 0_u64..900_000_000).prop_map(|(cost, timeout)| Event::Acquire(cost, timeout)),
        3 => (0_usize..4).prop_map(Event::GiveBack),
        1 => Just(Event::Reset),
    ];
    proptest::collection::vec(event, 1..60)
}

/// A bucket and a clock of its own: `acquire` moves it.
struct Side {
    clock: MockClock,
    limiter: AnyLimiter,
    quotas: Vec<Quota>,
}

impl Side {
    fn new(settings: Settings, per_key: bool) -> Self {
        let clock = MockClock::new();
        let Settings { kind, capacity, rate, .. } = settings;
        let limiter = match kind {
            Kind::Token => settings.token().clock(&clock).per_key(per_key).build().unwrap().into(),
            Kind::Leaky => limitpal::LeakyBucket::builder(capacity, rate.rate)
                .clock(&clock)
                .per_key(per_key)
                .build()
                .unwrap()
                .into(),
        };
        Self { clock, limiter, quotas: Vec::new() }
    }

    /// Lets it happen; returns all that can be seen of it.
    fn meet(&mut self, event: &Event) -> String {
        let ask = |cost| ("ann", Cost::new(cost).unwrap());
        let answer = match *event {
            Event::Pass(nanos) => {
                self.clock.advance(Duration::from_nanos(nanos));
                String::new()
            }
            Event::Allow(cost) => format!("{}", self.limiter.allow(ask(cost))),
            Event::Check(cost) => format!("{:?}", self.limiter.check(ask(cost))),
            Event::Peek(cost) => format!("{:?}", self.limiter.peek(ask(cost))),
            Event::Acquire(cost, timeout) => {
                let timeout = Some(Duration::from_nanos(timeout));
                match self.limiter.acquire_quota_blocking(ask(cost), timeout) {
                    Ok(quota) => {
                        let waited = quota.waited();
                        self.quotas.push(quota);
                        format!("{waited:?}")
                    }
                    Err(refused) => format!("{refused:?}"),
                }
            }
            Event::GiveBack(rank) if rank < self.quotas.len() => {
                let quota = self.quotas.swap_remove(rank);
                self.limiter.give_back(quota);
                String::new()
            }
            Event::GiveBack(_) => String::new(),
            Event::Reset => {
                self.limiter.reset("ann");
                String::new()
            }
        };
        format!("{answer} at {:?}: {:?}", self.clock.now(), self.limiter.peek("ann"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_bucket_of_a_key_does(settings in settings(), events in events()) {
        let (mut one, mut keyed) = (Side::new(settings, false), Side::new(settings, true));
        for event in events {
            prop_assert_eq!(keyed.meet(&event), one.meet(&event), "{:?}", event);
        }
    }
}

#[test]
fn one_who_waits_keeps_others_from_passing_and_leaves_no_trace() {
    let clock = MockClock::new();
    let rate = Rate::per_second(1.0).unwrap();
    let limiter = TokenBucket::builder(2, rate).clock(&clock).per_key(false).build().unwrap();
    let full = ("ann", Cost::new(2).unwrap());
    assert!(limiter.allow("bob"));

    let mut waiting = Box::pin(limiter.acquire(full));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    assert!(!limiter.allow("bob"), "the one left is spoken for");
    drop(waiting);
    assert!(limiter.allow("bob"));
    assert!(!limiter.allow("bob"));
    clock.advance(Duration::from_secs(2));
    assert!(limiter.allow(full));
}

#[test]
fn threads_together_take_exactly_what_it_holds() {
    const THREADS: usize = 4;
    let clock = MockClock::new();
    let rate = Rate::per_hour(1).unwrap();
    let limiter = TokenBucket::builder(10_000, rate).clock(&clock).per_key(false).build().unwrap();
    let start = Barrier::new(THREADS);
    let taken: usize = thread::scope(|scope| {
        let work = |thread: usize| {
            let (limiter, start) = (limiter.clone(), &start);
            move || {
                start.wait();
                // Now and then one looks closer, which goes through the lock.
                let take = |turn: usize| match (turn + thread) % 7 {
                    0 => limiter.check("ann").allowed,
                    _ => limiter.allow("ann"),
                };
                (0..5_000).filter(|turn| take(*turn)).count()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    assert_eq!(10_000, taken);
    assert!(!limiter.allow("ann"));
}
