//! Waiting for windows: in order of arrival, each woken in its turn, and no place is lost.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{AnyLimiter, Cost, MockClock, RateLimitExceeded, RetryAfter};
use proptest::prelude::*;

use super::{SECOND, each};
use crate::waiters::Bells;

type Waiting<'l> = Pin<Box<dyn Future<Output = Result<(), RateLimitExceeded>> + Send + 'l>>;

/// Those who wait for one key, as tasks that are polled when they are woken.
pub(crate) struct Crowd<'l> {
    limiter: &'l AnyLimiter,
    key: &'static str,
    waiting: Vec<Option<Waiting<'l>>>,
    pub(crate) bells: Bells,
    pub(crate) went: Vec<usize>,
}

impl<'l> Crowd<'l> {
    fn new(limiter: &'l AnyLimiter) -> Self {
        Self::at(limiter, "ann")
    }

    pub(crate) fn at(limiter: &'l AnyLimiter, key: &'static str) -> Self {
        Self { limiter, key, waiting: Vec::new(), bells: Bells::default(), went: Vec::new() }
    }

    pub(crate) fn come(&mut self, cost: u64) -> usize {
        let ask = (self.key, Cost::new(cost).unwrap());
        self.waiting.push(Some(Box::pin(self.limiter.acquire(ask))));
        self.poll(self.waiting.len() - 1);
        self.waiting.len() - 1
    }

    fn poll(&mut self, who: usize) {
        let waker = self.bells.waker(who);
        let Some(acquire) = &mut self.waiting[who] else { return };
        if let Poll::Ready(done) = acquire.as_mut().poll(&mut Context::from_waker(&waker)) {
            done.unwrap();
            self.waiting[who] = None;
            self.went.push(who);
        }
    }

    pub(crate) fn leave(&mut self, who: usize) {
        self.waiting[who] = None;
    }

    /// Polls those who were woken.
    pub(crate) fn run(&mut self) {
        while let Some(who) = self.bells.next() {
            self.poll(who);
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.iter().all(Option::is_none)
    }
}

#[test]
fn those_who_wait_go_in_the_order_they_came_each_woken_once() {
    let clock = MockClock::new();
    for limiter in each(2, SECOND, &clock) {
        let mut crowd = Crowd::new(&limiter);
        for _ in 0..9 {
            crowd.come(1);
        }
        assert_eq!(vec![0, 1], crowd.went);

        while !crowd.is_empty() {
            clock.advance(Duration::from_millis(50));
            crowd.run();
        }

        assert_eq!((0..9).collect::<Vec<_>>(), crowd.went, "{limiter:?}");
        assert_eq!(7, crowd.bells.wakes());
        clock.advance(SECOND * 3);
    }
}

#[test]
fn who_leaves_lets_the_next_move_up() {
    let clock = MockClock::new();
    for limiter in each(2, SECOND, &clock) {
        let mut crowd = Crowd::new(&limiter);
        crowd.come(2);
        let (large, small) = (crowd.come(2), crowd.come(1));
        assert_eq!(vec![0], crowd.went);

        crowd.leave(large);
        crowd.run();
        let due = limiter.peek("ann").retry_after;
        clock.advance(due.duration().unwrap());
        crowd.run();

        assert!(crowd.went.contains(&small), "{limiter:?} at {due:?}");
        assert!(limiter.allow("ann"), "the other permit of it is there");
        clock.advance(SECOND * 3);
    }
}

#[test]
fn nobody_overtakes_one_who_waits() {
    let clock = MockClock::new();
    for limiter in each(4, SECOND, &clock) {
        let mut crowd = Crowd::new(&limiter);
        crowd.come(3);
        let waiting = crowd.come(4);

        assert!(!limiter.allow("ann"), "there is one permit, and somebody waits for four");
        assert_eq!(0, limiter.peek("ann").remaining);

        crowd.leave(waiting);
        assert!(limiter.allow("ann"), "{limiter:?}");
        clock.advance(SECOND * 3);
    }
}

#[test]
fn a_wait_that_is_too_long_is_refused_at_once() {
    let clock = MockClock::new();
    for limiter in each(1, SECOND, &clock) {
        assert!(limiter.allow("ann"));
        let wait = limiter.peek("ann").retry_after.duration().unwrap();
        let start = clock.now();

        let refused = limiter.acquire_timeout_blocking("ann", wait - Duration::from_nanos(1));
        assert_eq!(RetryAfter::After(wait), refused.unwrap_err().retry_after());
        assert_eq!(start, clock.now());
        limiter.acquire_timeout_blocking("ann", wait).unwrap();
        assert_eq!(start + wait, clock.now());
        clock.advance(SECOND * 3);
    }
}

#[test]
fn those_who_wait_at_a_reset_go_as_if_the_key_were_new() {
    let clock = MockClock::new();
    for limiter in each(2, SECOND, &clock) {
        let mut crowd = Crowd::new(&limiter);
        for _ in 0..5 {
            crowd.come(1);
        }

        limiter.reset("ann");
        crowd.run();

        assert_eq!(vec![0, 1, 2, 3], crowd.went, "{limiter:?}");
        crowd.leave(4);
        clock.advance(SECOND * 3);
    }
}

#[test]
fn quota_that_is_given_back_goes_to_the_next() {
    let clock = MockClock::new();
    for limiter in each(2, SECOND, &clock) {
        let mut acquire = Box::pin(limiter.acquire_quota("ann", None));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(quota)) = acquire.as_mut().poll(&mut context) else {
            panic!("it is new")
        };
        let mut crowd = Crowd::new(&limiter);
        crowd.come(1);
        let waiting = crowd.come(1);
        assert!(!crowd.went.contains(&waiting));

        clock.advance(Duration::from_nanos(1));
        limiter.give_back(quota);
        crowd.run();

        let first_use = format!("{limiter:?}").contains("FirstUse");
        assert_eq!(!first_use, crowd.went.contains(&waiting), "the first take began the window");
        crowd.leave(waiting);
        clock.advance(SECOND * 3);
    }
}

#[test]
fn a_large_crowd_that_leaves_takes_no_long_time() {
    let clock = MockClock::new();
    for limiter in each(1, SECOND, &clock) {
        let mut crowd = Crowd::new(&limiter);
        for _ in 0..20_000 {
            crowd.come(1);
        }

        // The quadratic way would be two hundred million steps.
        (1..20_000).for_each(|who| crowd.leave(who));

        assert_eq!(vec![0], crowd.went);
        clock.advance(SECOND * 3);
        assert!(limiter.allow("ann"), "{limiter:?}");
        clock.advance(SECOND * 3);
    }
}

/// Returns the most that went in any stretch of `per`.
fn worst(went: &[(i64, u64)], per: Duration) -> u64 {
    let per = i64::try_from(per.as_nanos()).unwrap();
    let from = |(start, _): &(i64, u64)| {
        let within = went.iter().filter(|(at, _)| (*start..start + per).contains(at));
        within.map(|(_, cost)| cost).sum()
    };
    went.iter().map(from).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mix_of_those_who_wait_and_do_not_keeps_within_the_worst_case(
        steps in proptest::collection::vec((0_u64..400, 1_u64..=4, proptest::bool::ANY), 1..120),
    ) {
        for (kind, most) in [8, 8, 7, 4].into_iter().enumerate() {
            let clock = MockClock::new();
            let limiter = &each(4, SECOND, &clock)[kind];
            let mut went = Vec::new();
            for (pass, cost, waits) in &steps {
                clock.advance(Duration::from_millis(*pass));
                let ask = ("ann", Cost::new(*cost).unwrap());
                let goes = if *waits { limiter.acquire_blocking(ask).is_ok() } else { limiter.allow(ask) };
                if goes {
                    went.push((clock.now().as_nanos(), *cost));
                }
            }
            prop_assert!(worst(&went, SECOND) <= most, "{:?}: {:?}", limiter, went);
        }
    }
}
