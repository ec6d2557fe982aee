//! Those who wait for their share: in max-min fair order, and none forgotten.

use std::time::Duration;

use limitpal::{FairBucket, MockClock, RateLimitExceeded, RetryAfter};

use super::{burst, cost, limiter, millis};
use crate::conformance::tasks::Tasks;

type Outcome = Result<(), RateLimitExceeded>;

/// A clock, ten permits and ten a second, and those who wait for them.
struct World {
    clock: MockClock,
    limiter: FairBucket,
    tasks: Tasks<Outcome>,
    /// Who went, or was refused, and when, in milliseconds.
    ended: Vec<(String, i64, bool)>,
}

impl World {
    fn new() -> Self {
        let clock = MockClock::new();
        let limiter = limiter(10, 10.0, &clock);
        Self { clock, limiter, tasks: Tasks::new(), ended: Vec::new() }
    }

    /// Has one wait, named by its key and a number.
    fn join(&mut self, key: &'static str, number: usize, of: u64, timeout: Option<u64>) {
        let limiter = self.limiter.clone();
        self.tasks.spawn(&format!("{key}{number}"), async move {
            match timeout {
                Some(timeout) => limiter.acquire_timeout((key, cost(of)), millis(timeout)).await,
                None => limiter.acquire((key, cost(of))).await,
            }
        });
        self.pass(0);
    }

    fn pass(&mut self, span: u64) {
        let (clock, ended) = (self.clock.clone(), &mut self.ended);
        self.tasks.pass(&self.clock, clock.now() + millis(span), |who, outcome| {
            ended.push((who.to_owned(), clock.now().as_nanos() / 1_000_000, outcome.is_ok()));
        });
    }

    fn who_went(&mut self) -> Vec<String> {
        self.ended.drain(..).map(|(who, ..)| who).collect()
    }
}

#[test]
fn keys_take_turns_however_many_wait_for_one() {
    let mut world = World::new();
    burst(&world.limiter, "hot");
    for number in 0..6 {
        world.join("hot", number, 1, None);
    }
    for number in 0..3 {
        world.join("ann", number, 1, None);
    }

    world.pass(3000);

    let order = ["hot0", "ann0", "hot1", "ann1", "hot2", "ann2", "hot3", "hot4", "hot5"];
    assert_eq!(order.to_vec(), world.who_went());
}

#[test]
fn a_newcomer_does_not_wait_for_a_crowd_of_another_key() {
    let mut world = World::new();
    burst(&world.limiter, "hot");
    for number in 0..100 {
        world.join("hot", number, 1, None);
    }
    world.pass(2000);
    assert_eq!(20, world.who_went().len());

    world.join("ann", 0, 1, None);
    world.pass(200);

    let went = world.who_went();
    assert!(went.contains(&"ann0".to_owned()), "{went:?}");
}

#[test]
fn turns_are_counted_in_permits() {
    let mut world = World::new();
    burst(&world.limiter, "hot");
    for number in 0..10 {
        world.join("large", number, 3, None);
        world.join("small", number, 1, None);
        world.join("small", number + 10, 1, None);
        world.join("small", number + 20, 1, None);
    }

    world.pass(2400);

    let went = world.who_went();
    let large = went.iter().filter(|who| who.starts_with("large")).count();
    let small = went.len() - large;
    // The share of the third, who does not wait, fills first.
    assert!((17..=24).contains(&(3 * large + small)), "{went:?}");
    assert!((3 * large).abs_diff(small) <= 3, "{went:?}");
}

#[test]
fn who_waits_uses_all_of_the_rate_and_leaves_the_shares_of_who_does_not() {
    let mut world = World::new();
    assert!(world.limiter.allow("quiet"));
    burst(&world.limiter, "hot");
    for number in 0..30 {
        world.join("hot", number, 1, None);
    }

    world.pass(2000);

    let went = world.who_went().len();
    assert!((19..=20).contains(&went), "{went}");
    assert!(burst(&world.limiter, "quiet") >= 4);
}

#[test]
fn a_place_that_is_given_up_is_the_next_ones() {
    let mut world = World::new();
    burst(&world.limiter, "hot");
    for number in 0..4 {
        world.join("hot", number, 1, None);
    }
    world.join("ann", 0, 1, None);

    assert!(world.tasks.cancel("hot0") && world.tasks.cancel("hot2"));
    world.pass(1000);

    assert_eq!(["hot1", "ann0", "hot3"].map(str::to_owned).to_vec(), world.who_went());
    assert_eq!(0, world.tasks.unfinished().len());
}

#[test]
fn who_waits_is_not_overtaken_by_its_own_key_or_by_who_borrows() {
    let mut world = World::new();
    burst(&world.limiter, "hot");
    world.join("hot", 0, 2, None);

    world.clock.advance(millis(150));
    assert!(!world.limiter.allow("hot"));
    assert!(world.limiter.allow("ann"), "what is within a share of its own is another matter");
    world.pass(1000);
    assert_eq!(["hot0".to_owned()].to_vec(), world.who_went());
}

#[test]
fn a_wait_that_would_be_too_long_is_refused_at_once_and_one_that_becomes_so_in_time() {
    let mut world = World::new();
    assert!(world.limiter.allow("ann"));
    assert_eq!(5, burst(&world.limiter, "hot"));

    world.join("hot", 0, 1, Some(199));
    assert_eq!([("hot0".to_owned(), 0, false)].to_vec(), world.ended.drain(..).collect::<Vec<_>>());
    world.join("hot", 1, 1, Some(200));
    world.join("hot", 2, 1, Some(300));
    world.join("ann", 0, 5, None);
    world.pass(1000);

    let ended: Vec<_> = world.ended.drain(..).collect();
    assert_eq!(("hot1".to_owned(), 200, true), ended[0]);
    assert_eq!(("ann0".to_owned(), 200, true), ended[1]);
    assert_eq!(("hot2".to_owned(), 300, false), ended[2], "what ann had was to be its own");
}

#[test]
fn a_blocking_wait_moves_the_clock_to_its_turn() {
    let clock = MockClock::new();
    let limiter = limiter(2, 10.0, &clock);
    burst(&limiter, "hot");

    limiter.acquire_blocking("hot").unwrap();
    assert_eq!(100_000_000, clock.now().as_nanos());
    let refused = limiter.acquire_timeout_blocking("hot", millis(99)).unwrap_err();
    assert_eq!(RetryAfter::After(millis(100)), refused.retry_after());
    assert_eq!(100_000_000, clock.now().as_nanos());
}

#[test]
fn threads_share_without_loss() {
    let limiter = FairBucket::new(4, limitpal::Rate::per_second(1000.0).unwrap()).unwrap();
    let (clock, begun) = (limiter.clock(), limiter.clock().now());

    std::thread::scope(|scope| {
        for key in ["a", "b", "c", "d"] {
            let limiter = limiter.clone();
            scope.spawn(move || (0..50).for_each(|_| limiter.acquire_blocking(key).unwrap()));
        }
    });

    let spent = clock.now().saturating_duration_since(begun);
    assert!(spent >= millis(196) && spent < Duration::from_secs(20), "{spent:?}");
}
