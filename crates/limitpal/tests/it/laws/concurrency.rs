//! At most so many at a time, in order, and no permit lost: whatever happens.

use std::collections::BTreeMap;
use std::time::Duration;

use limitpal::{ConcurrencyLimiter, ConcurrencyPermit, Cost, MockClock, RateLimitExceeded};
use proptest::prelude::*;

use super::cases;
use crate::conformance::tasks::Tasks;

type Answer = Result<ConcurrencyPermit, RateLimitExceeded>;

const KEYS: [&str; 2] = ["a", "b"];

/// What happens to a limiter.
#[derive(Clone, Debug)]
enum Event {
    /// One comes for a key, at a cost, for so many seconds at most.
    Come(usize, u64, Option<u64>),
    /// One of those who came leaves, or gives its permit back; counted from the last.
    Leave(usize),
    Try(usize, u64),
    Pass(u64),
    Limit(u32),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (key, cost) = (0..KEYS.len(), prop_oneof![3 => Just(1_u64), 2 => 1_u64..6]);
    let timeout = proptest::option::of(0_u64..5);
    let event = prop_oneof![
        6 => (key.clone(), cost.clone(), timeout).prop_map(|(k, c, t)| Event::Come(k, c, t)),
        5 => (0_usize..12).prop_map(Event::Leave),
        2 => (key, cost).prop_map(|(key, cost)| Event::Try(key, cost)),
        2 => (0_u64..4).prop_map(Event::Pass),
        1 => (1_u32..6).prop_map(Event::Limit),
    ];
    proptest::collection::vec(event, 1..80)
}

/// Those who came, and what they have.
struct Crowd {
    clock: MockClock,
    limiter: ConcurrencyLimiter,
    tasks: Tasks<Answer>,
    /// Whose key it is, and the cost.
    came: Vec<(usize, u64)>,
    held: BTreeMap<usize, ConcurrencyPermit>,
    /// Who was let in, in order.
    order: Vec<usize>,
}

impl Crowd {
    fn new(limit: u32, per_key: bool) -> Self {
        let clock = MockClock::new();
        let builder = ConcurrencyLimiter::builder(limit).per_key(per_key).clock(&clock);
        let (tasks, held) = (Tasks::new(), BTreeMap::new());
        let limiter = builder.build().unwrap();
        Self { clock, limiter, tasks, came: Vec::new(), held, order: Vec::new() }
    }

    fn come(&mut self, key: usize, cost: u64, timeout: Option<u64>) {
        let (limiter, ask) = (self.limiter.clone(), (KEYS[key], Cost::new(cost).unwrap()));
        let number = self.came.len();
        self.came.push((key, cost));
        // No two end at one instant: woken for its end, one would be polled before one ahead of
        // it whom another's end in that instant has let in.
        let odd = Duration::from_nanos(number as u64);
        let timeout = timeout.map(|timeout| Duration::from_secs(timeout) + odd);
        self.tasks.spawn(&number.to_string(), async move {
            match timeout {
                Some(timeout) => limiter.acquire_timeout(ask, timeout).await,
                None => limiter.acquire(ask).await,
            }
        });
    }

    /// Lets one leave, wherever it is.
    fn leave(&mut self, who: usize) {
        self.held.remove(&who);
        self.tasks.cancel(&who.to_string());
    }

    fn pass(&mut self, seconds: u64) {
        let Self { clock, tasks, held, order, .. } = self;
        tasks.pass(clock, clock.now() + Duration::from_secs(seconds), |who, answer| {
            let who = who.parse().unwrap();
            if let Ok(permit) = answer {
                held.insert(who, permit);
                order.push(who);
            }
        });
    }

    /// Returns the cost of all that is held for a key, or for all of them.
    fn out(&self, key: Option<usize>) -> u64 {
        let counts = |who: &usize| key.is_none_or(|key| self.came[*who].0 == key);
        self.held.keys().filter(|who| counts(who)).map(|who| self.came[*who].1).sum()
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn no_more_than_the_limit_are_out_none_is_lost_and_who_came_first_goes_first(
        limit in 1_u32..6,
        per_key in any::<bool>(),
        events in events(),
    ) {
        let mut crowd = Crowd::new(limit, per_key);
        let mut most = limit;

        for event in events {
            match event {
                Event::Come(key, cost, timeout) => crowd.come(key, cost, timeout),
                Event::Leave(back) => {
                    if let Some(who) = crowd.came.len().checked_sub(back + 1) {
                        crowd.leave(who);
                    }
                }
                Event::Try(key, cost) => {
                    let waits = crowd.limiter.waiting(KEYS[key]) > 0;
                    let own = per_key.then_some(key);
                    let fits = crowd.out(own) + cost <= crowd.limiter.limit().into();
                    let permit = crowd.limiter.try_acquire((KEYS[key], Cost::new(cost).unwrap()));
                    prop_assert_eq!(!waits && fits, permit.is_some());
                }
                Event::Pass(seconds) => crowd.pass(seconds),
                Event::Limit(limit) => {
                    crowd.limiter.set_limit(limit).unwrap();
                    most = most.max(limit);
                }
            }
            crowd.pass(0);
            for (rank, key) in KEYS.iter().enumerate() {
                let own = per_key.then_some(rank);
                prop_assert_eq!(crowd.out(own), u64::from(crowd.limiter.in_flight(key)));
                prop_assert!(crowd.out(own) <= most.into());
            }
            // Once all that is out fits the limit again, older and higher limits are history.
            if KEYS.iter().all(|key| crowd.limiter.in_flight(key) <= crowd.limiter.limit()) {
                most = crowd.limiter.limit();
            }
        }

        for key in 0..KEYS.len() {
            let own: Vec<_> =
                crowd.order.iter().filter(|who| crowd.came[**who].0 == key).collect();
            prop_assert!(own.is_sorted(), "{:?} overtook", own);
        }
        while let Some((_, permit)) = crowd.held.pop_first() {
            drop(permit);
            crowd.pass(0);
        }
        prop_assert!(crowd.tasks.unfinished().is_empty(), "{:?}", crowd.tasks.unfinished());
        prop_assert!(crowd.limiter.is_empty(), "a permit was lost");
    }
}
