//! Those who came too many, by the case.

use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, Cost, Evict, MockClock, RetryAfter, TokenBucket};

use super::{KINDS, LIMIT, Limited, Memory, PER, limited};
use crate::conformance::tasks::{Tasks, finish};

fn of_two(kind: usize, evict: Evict, clock: &MockClock) -> Limited {
    limited(kind, Memory { max_buckets: Some(2), evict }, clock)
}

fn all(name: &str) -> (&str, Cost) {
    (name, Cost::new(LIMIT.into()).unwrap())
}

#[test]
fn where_newcomers_are_refused_those_who_are_known_are_not() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let Limited { limiter, evicted_live, refused_new, .. } =
            of_two(kind, Evict::RefuseNew, &clock);
        assert!(limiter.allow("ann") && limiter.allow("bob"));

        for rank in 0..100 {
            assert!(!limiter.allow(&*format!("stranger {rank}")));
        }
        assert_eq!(vec![false, true, false], limiter.allow_many(["cid", "ann", "dan"]));

        assert!(limiter.allow("ann") && limiter.allow("bob"));
        assert_eq!((0, 102), (evicted_live(), refused_new()));
    }
}

#[test]
fn who_looks_counts_as_no_newcomer() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let Limited { limiter, refused_new, .. } = of_two(kind, Evict::RefuseNew, &clock);
        assert!(limiter.allow("ann") && limiter.allow("bob"));

        assert!(!limiter.peek("cid").allowed);
        assert_eq!(0, refused_new());
        assert!(!limiter.check("cid").allowed);
        assert_eq!(1, refused_new());
    }
}

#[test]
fn an_heir_has_what_its_victim_left_and_the_victim_what_is_left_of_another() {
    let clock = MockClock::new();
    let Limited { limiter, evicted_live, .. } = of_two(0, Evict::Inherit, &clock);
    assert!(limiter.allow(("ann", Cost::new(1).unwrap())));
    assert!(limiter.allow(("bob", Cost::new(3).unwrap())));

    assert_eq!(2, limiter.check("cid").remaining, "ann took one, and cid one");
    assert_eq!(1, evicted_live());
    assert_eq!(2, limiter.peek("ann").remaining, "of bob and cid, cid is nearer to new");
    assert_eq!(1, limiter.check("ann").remaining);
    assert_eq!(0, limiter.check("bob").remaining, "it was there all the time");
}

#[test]
fn an_heir_that_is_refused_leaves_all_as_it_was() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let Limited { limiter, evicted_live, len, .. } = of_two(kind, Evict::Inherit, &clock);
        assert!(limiter.allow(all("ann")) && limiter.allow(all("bob")));
        let before = (limiter.peek("ann"), limiter.peek("bob"));

        for rank in 0..100 {
            assert!(!limiter.allow(&*format!("stranger {rank}")));
        }

        assert_eq!(before, (limiter.peek("ann"), limiter.peek("bob")));
        assert_eq!((0, 2), (evicted_live(), len()));
    }
}

#[test]
fn an_heir_waits_for_what_its_victim_took() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let Limited { limiter, evicted_live, .. } = of_two(kind, Evict::Inherit, &clock);
        assert!(limiter.allow(all("ann")) && limiter.allow(all("bob")));
        let wait = limiter.peek(all("cid")).retry_after.duration().unwrap();
        assert!(!wait.is_zero());

        let too_short = wait - Duration::from_nanos(1);
        assert!(limiter.acquire_timeout_blocking(all("cid"), too_short).is_err());
        assert_eq!(0, evicted_live());

        let own = limiter.clone();
        let done = finish(&clock, async move { own.acquire(all("cid")).await.is_ok() });
        assert_eq!(Ok(true), done);
        assert_eq!(1, evicted_live());
        assert!(clock.now().as_nanos() > 0);
    }
}

#[test]
fn what_the_victim_took_gives_nothing_to_its_heir() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let limiter = limited(kind, Memory { max_buckets: Some(1), evict: Evict::Inherit }, &clock);
        let limiter = limiter.limiter;
        let ann = limiter.acquire_quota_blocking("ann", Some(Duration::ZERO)).unwrap();
        let own = limiter.clone();
        assert_eq!(Ok(true), finish(&clock, async move { own.acquire("bob").await.is_ok() }));
        let before = limiter.peek("bob").remaining;

        limiter.give_back(ann);

        assert_eq!(before, limiter.peek("bob").remaining);
    }
}

#[test]
fn a_composite_asks_a_full_part_as_others_do() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        for kind in 0..KINDS {
            let clock = MockClock::new();
            let Limited { limiter, .. } = of_two(kind, evict, &clock);
            let other: AnyLimiter =
                TokenBucket::per("1000/second").unwrap().clock(&clock).build().unwrap().into();
            let composite = CompositeLimiter::new([other.clone(), limiter.clone()]).unwrap();
            assert!(limiter.allow(all("ann")) && limiter.allow(all("bob")));

            let RetryAfter::After(wait) = composite.check(all("cid")).retry_after else {
                panic!("it is known")
            };
            assert_eq!(1000, other.peek("cid").remaining, "a refusal takes nothing");
            let refused = composite.acquire_timeout_blocking(all("cid"), Duration::ZERO);
            assert!(matches!(refused.unwrap_err().retry_after(), RetryAfter::After(_)));
            clock.advance(wait);
            assert!(composite.allow(all("cid")));
        }
    }
}

#[test]
fn with_somebody_waiting_for_every_bucket_nobody_says_when() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        for kind in 2..KINDS {
            let clock = MockClock::new();
            let Limited { limiter, refused_new, .. } =
                limited(kind, Memory { max_buckets: Some(1), evict }, &clock);
            assert!(limiter.allow(all("ann")));
            let mut waiter = Tasks::new();
            let own = limiter.clone();
            waiter.spawn("waiter", async move { own.acquire("ann").await.is_ok() });
            waiter.settle(|_, _| panic!("there was nothing to wait for"));

            assert_eq!(RetryAfter::Unknown, limiter.check("bob").retry_after);
            assert_eq!(RetryAfter::Unknown, limiter.peek("bob").retry_after);
            assert_eq!(1, refused_new());

            let mut went = false;
            waiter.pass(&clock, clock.now() + 3 * PER, |_, answer| went = answer);
            assert!(went);
        }
    }
}
