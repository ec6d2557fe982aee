//! Those who wait for quota and permits: one line at a time, nothing held, in order.

use std::collections::BTreeMap;
use std::time::Duration;

use limitpal::{
    CompositePermit, ConcurrencyLimiter, HoldingLimiter, Instant, MockClock, RetryAfter,
};

use super::{Answer, SECOND, both, bucket, pool};
use crate::conformance::tasks::Tasks;

/// Tasks that acquire, and what became of them.
struct Crew {
    clock: MockClock,
    tasks: Tasks<Answer>,
    came: usize,
    held: BTreeMap<usize, CompositePermit>,
    /// Who was admitted, and at what second.
    admitted: Vec<(usize, f64)>,
    refused: Vec<(usize, f64, RetryAfter)>,
}

impl Crew {
    fn new(clock: &MockClock) -> Self {
        let (clock, tasks, held) = (clock.clone(), Tasks::new(), BTreeMap::new());
        Self { clock, tasks, came: 0, held, admitted: Vec::new(), refused: Vec::new() }
    }

    fn come(&mut self, limiter: &HoldingLimiter, timeout: Option<Duration>) -> usize {
        let limiter = limiter.clone();
        self.tasks.spawn(&self.came.to_string(), async move {
            match timeout {
                None => limiter.acquire("k").await,
                Some(timeout) => limiter.acquire_timeout("k", timeout).await,
            }
        });
        self.came += 1;
        self.pass(Duration::ZERO);
        self.came - 1
    }

    fn pass(&mut self, span: Duration) {
        let Self { clock, tasks, held, admitted, refused, .. } = self;
        let seconds =
            |clock: &MockClock| clock.now().saturating_duration_since(Instant::ZERO).as_secs_f64();
        tasks.pass(clock, clock.now() + span, |who, answer| {
            let who = who.parse().unwrap();
            match answer {
                Ok(permit) => {
                    held.insert(who, permit);
                    admitted.push((who, seconds(clock)));
                }
                Err(refusal) => refused.push((who, seconds(clock), refusal.retry_after())),
            }
        });
    }

    fn release(&mut self, who: usize) {
        self.held.remove(&who).expect("it has a permit").release();
        self.pass(Duration::ZERO);
    }

    fn leave(&mut self, who: usize) {
        assert!(self.tasks.cancel(&who.to_string()), "it still waits");
        self.pass(Duration::ZERO);
    }

    fn who(&self) -> Vec<usize> {
        self.admitted.iter().map(|(who, _)| *who).collect()
    }
}

#[test]
fn one_who_waits_for_quota_keeps_no_permit() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    assert!(bucket.allow("k"));

    crew.come(&limiter, None);

    assert!(!pool.contains("k"), "it waits for quota alone");
    let short = pool.try_acquire("k").unwrap();
    crew.pass(SECOND);
    assert!(crew.who().is_empty(), "its quota is there, and the permit is not");
    assert_eq!((1.0, 1), (bucket.tokens("k"), pool.waiting("k")), "so it waits for that alone");

    crew.pass(SECOND);
    drop(short);
    crew.pass(Duration::ZERO);
    assert_eq!([(0, 2.0)], crew.admitted[..]);
    assert_eq!((0.0, 1), (bucket.tokens("k"), pool.in_flight("k")));
}

#[test]
fn a_permit_that_comes_before_quota_goes_on_to_the_next() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    let held = pool.try_acquire("k").unwrap();
    crew.come(&limiter, None);
    assert_eq!(1, pool.waiting("k"), "who knows how long that is");

    assert!(bucket.allow("k"), "nobody has taken that yet");
    drop(held);
    crew.pass(Duration::ZERO);

    assert!(crew.who().is_empty() && !pool.contains("k"), "it waits for quota, and keeps nothing");
    crew.pass(SECOND);
    assert_eq!([(0, 1.0)], crew.admitted[..]);
}

/// Who has waited in one line and must stand in another goes before those who came later.
#[test]
fn who_came_first_goes_first_in_whichever_line_it_waits() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    assert!(bucket.allow("k"));
    // The first waits for quota; the pool fills; the others wait for a permit.
    crew.come(&limiter, None);
    let held = pool.try_acquire("k").unwrap();
    crew.come(&limiter, None);
    crew.come(&limiter, None);
    assert_eq!(2, pool.waiting("k"));

    crew.pass(SECOND);
    assert_eq!((3, 1.0), (pool.waiting("k"), bucket.tokens("k")), "now all of them do");
    drop(held);
    crew.pass(10 * SECOND);
    assert_eq!([0], crew.who()[..]);
    crew.release(0);
    assert_eq!([0, 1], crew.who()[..]);
    crew.release(1);
    crew.pass(SECOND);

    assert_eq!([(0, 1.0), (1, 11.0), (2, 12.0)], crew.admitted[..]);
}

#[test]
fn those_who_wait_for_a_permit_alone_are_not_overtaken_by_those_who_come_later() {
    let clock = MockClock::new();
    let (_, pool, limiter) = both(&clock, 9, 1);
    let mut crew = Crew::new(&clock);
    let held = pool.try_acquire("k").unwrap();
    let alone: HoldingLimiter = {
        let limiter = limiter.clone();
        crew.come(&limiter, None);
        pool.clone().into()
    };
    crew.come(&alone, None);
    crew.come(&limiter, None);

    drop(held);
    crew.pass(Duration::ZERO);
    for who in 0..3 {
        crew.release(who);
    }

    assert_eq!([0, 1, 2], crew.who()[..]);
}

#[test]
fn a_timeout_runs_to_its_end_where_a_permit_is_lacking_and_ends_at_once_where_quota_is() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    let held = pool.try_acquire("k").unwrap();

    crew.come(&limiter, Some(3 * SECOND));
    crew.pass(5 * SECOND);
    assert_eq!([(0, 3.0, RetryAfter::Unknown)], crew.refused[..]);
    assert_eq!(0, pool.waiting("k"));

    assert!(bucket.allow("k"));
    crew.come(&limiter, Some(SECOND / 2));
    assert_eq!((1, 5.0, RetryAfter::Unknown), crew.refused[1], "its quota would come too late");
    drop(held);
    crew.come(&limiter, Some(SECOND / 2));
    assert_eq!((2, 5.0, RetryAfter::After(SECOND)), crew.refused[2]);
    assert_eq!(None, clock.next_deadline());
}

/// The timeout counts from the call, through all the lines.
#[test]
fn what_was_waited_for_quota_is_no_longer_there_for_a_permit() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    assert!(bucket.allow("k"));
    crew.come(&limiter, Some(3 * SECOND));
    let _held = pool.try_acquire("k").unwrap();

    crew.pass(10 * SECOND);

    assert_eq!([(0, 3.0, RetryAfter::Unknown)], crew.refused[..]);
    assert_eq!(1.0, bucket.tokens("k"), "the quota went back");
}

#[test]
fn whoever_leaves_wherever_it_stands_leaves_nothing_behind() {
    let clock = MockClock::new();
    let (bucket, pool, limiter) = both(&clock, 1, 1);
    let mut crew = Crew::new(&clock);
    assert!(bucket.allow("k"));
    let [first, second] = [0; 2].map(|_| crew.come(&limiter, None));
    crew.leave(first);
    crew.pass(SECOND);
    assert_eq!([(second, 1.0)], crew.admitted[..], "it moved up");

    crew.pass(SECOND);
    let [third, fourth] = [0; 2].map(|_| crew.come(&limiter, None));
    assert_eq!(2, pool.waiting("k"));
    crew.leave(third);
    crew.release(second);
    assert_eq!((fourth, 2.0), crew.admitted[1]);
    crew.release(fourth);
    assert!(!pool.contains("k"));
}

/// Each holds what the other would need next, if either held anything.
#[test]
fn two_pools_asked_in_either_order_never_block_each_other() {
    let clock = MockClock::new();
    let (one, other) = (pool(&clock, 1), pool(&clock, 1));
    let join = |pools: [&ConcurrencyLimiter; 2]| {
        HoldingLimiter::new(pools.map(|pool| HoldingLimiter::from(pool.clone()))).unwrap()
    };
    let (there, back) = (join([&one, &other]), join([&other, &one]));
    let mut crew = Crew::new(&clock);
    let held = (one.try_acquire("k").unwrap(), other.try_acquire("k").unwrap());
    for limiter in [&there, &back, &there, &back] {
        crew.come(limiter, None);
    }
    assert_eq!((2, 2), (one.waiting("k"), other.waiting("k")));

    drop(held.0);
    crew.pass(Duration::ZERO);
    assert!(crew.who().is_empty() && !one.contains("k"), "nobody keeps one of the two");
    drop(held.1);
    crew.pass(Duration::ZERO);
    for _ in 0..4 {
        assert_eq!(1, crew.held.len());
        crew.release(*crew.who().last().unwrap());
    }

    assert_eq!([0, 1, 2, 3], crew.who()[..]);
    assert!(one.is_empty() && other.is_empty());
}

/// A tenant's two places within fifty for everybody: whoever is first in one line gets to the
/// other, however full both are.
#[test]
fn places_within_places_serve_everybody() {
    let clock = MockClock::new();
    let (own, all) = (pool(&clock, 1), pool(&clock, 2));
    let bucket = bucket(&clock, 100);
    let limiter =
        HoldingLimiter::new([own.clone().into(), all.clone().into(), bucket.into()]).unwrap();
    let mut crew = Crew::new(&clock);
    let taken = [(); 2].map(|()| all.try_acquire("k").unwrap());
    for _ in 0..5 {
        crew.come(&limiter, None);
    }

    drop(taken);
    crew.pass(Duration::ZERO);
    for who in 0..5 {
        crew.release(who);
    }

    assert_eq!([0, 1, 2, 3, 4], crew.who()[..]);
    assert!(own.is_empty() && all.is_empty());
}
