//! Forgetting loses nothing, a refusal takes nothing, giving back makes nothing.

use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, Cost, MockClock, Rate, RetryAfter, TokenBucket};
use proptest::prelude::*;

use super::{Settings, bucket, bucket_on, cases, pass, thousandths};
use crate::models::{NaiveStore, settings, span};

/// One call of somebody's, after some time.
#[derive(Clone, Debug)]
struct Visit {
    after: (i64, i64),
    key: u8,
    cost: u64,
}

fn visits(keys: u8, pause: i64) -> impl Strategy<Value = Vec<Visit>> {
    let visit = ((0..pause, -1_i64..2), 0..keys, prop_oneof![3 => Just(1_u64), 1 => 1_u64..6])
        .prop_map(|(after, key, cost)| Visit { after, key, cost });
    proptest::collection::vec(visit, 1..80)
}

fn key(visit: &Visit) -> String {
    format!("key {}", visit.key)
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn eviction_of_idle_buckets_changes_no_decision(
        settings in settings(),
        max_buckets in 1_usize..6,
        visits in prop_oneof![visits(9, 40_000), visits(9, 3_000)],
    ) {
        let clock = MockClock::new();
        let settings = Settings { kind: crate::models::Kind::Token, ..settings };
        let limiter = settings.token().max_buckets(max_buckets).clock(&clock).build().unwrap();
        let mut model = NaiveStore::new(settings);

        for visit in visits {
            clock.advance(pass(&settings, visit.after.0, visit.after.1));
            let (now, ask) = (clock.now().as_nanos(), key(&visit));
            let others_live = {
                let own = !model.bucket(&ask).is_fresh(now);
                model.live(now) - usize::from(own)
            };
            let decision = limiter.check((&*ask, Cost::new(visit.cost).unwrap()));
            prop_assert!(limiter.len() <= max_buckets);
            prop_assert_eq!(model.bucket(&ask).check(visit.cost, now), decision);
            if limiter.evicted_live() > 0 {
                // From here on somebody's past is lost; it had to be, every place being in use.
                prop_assert!(others_live >= max_buckets, "{others_live} others were live");
                return Ok(());
            }
        }
    }

    #[test]
    fn forgetting_after_the_ttl_changes_no_decision(
        settings in settings(),
        ttl in 1_i64..20_000,
        cleanup_interval in 1_usize..5,
        visits in visits(5, 10_000),
    ) {
        let clock = MockClock::new();
        let ttl = span(thousandths(&settings, ttl).max(1));
        let limiter =
            bucket!(settings, &clock, ttl = ttl, cleanup_interval = cleanup_interval);
        let mut model = NaiveStore::new(settings);

        for visit in visits {
            clock.advance(pass(&settings, visit.after.0, visit.after.1));
            let (now, ask) = (clock.now().as_nanos(), key(&visit));
            let decision = limiter.check((&*ask, Cost::new(visit.cost).unwrap()));
            prop_assert_eq!(model.bucket(&ask).check(visit.cost, now), decision);
        }
    }

    #[test]
    fn a_composite_takes_from_all_or_leaves_every_part_as_it_was(
        parts in proptest::collection::vec(settings(), 1..4),
        visits in visits(4, 3_000),
    ) {
        let clock = MockClock::new();
        let limiters: Vec<AnyLimiter> = parts.iter().map(|part| bucket_on(*part, &clock)).collect();
        let composite = CompositeLimiter::new(limiters.iter().cloned()).unwrap();

        for (turn, visit) in visits.iter().enumerate() {
            clock.advance(pass(&parts[0], visit.after.0, visit.after.1));
            let (key, cost) = (key(visit), Cost::new(visit.cost).unwrap());
            if visit.key == 3 {
                limiters[turn % limiters.len()].allow((&*key, cost));
                continue;
            }
            let look = |cost| limiters.iter().map(|part| part.peek((&*key, cost))).collect::<Vec<_>>();
            let (before, at_one) = (look(cost), look(Cost::ONE));

            let peeked = composite.peek((&*key, cost));
            let decision = composite.check((&*key, cost));

            let longest = before.iter().map(|part| part.retry_after).max().unwrap();
            prop_assert_eq!(longest == RetryAfter::Now, decision.allowed);
            prop_assert_eq!(longest, decision.retry_after);
            prop_assert_eq!(longest, peeked.retry_after);
            if decision.allowed {
                let share = |limit: u32, left: u32| f64::from(left) / f64::from(limit);
                let after = look(Cost::ONE);
                let least = after.iter().map(|part| share(part.limit, part.remaining)).fold(1.0, f64::min);
                prop_assert_eq!(least, share(decision.limit, decision.remaining));
            } else {
                prop_assert_eq!(before, look(cost));
                prop_assert_eq!(at_one, look(Cost::ONE));
            }
        }
    }

    #[test]
    fn giving_back_never_breaks_the_bound(
        settings in settings(),
        visits in visits(4, 3_000),
        returned in proptest::collection::vec(0_usize..5, 80),
    ) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);
        let (mut held, mut used) = (Vec::new(), Vec::new());

        for (visit, returned) in visits.iter().zip(returned) {
            clock.advance(pass(&settings, visit.after.0, visit.after.1));
            let timeout = span(thousandths(&settings, i64::from(visit.key) * 700));
            let ask = ("k", Cost::new(visit.cost).unwrap());
            if let Ok(quota) = limiter.acquire_quota_blocking(ask, Some(timeout)) {
                held.push((clock.now().as_nanos(), visit.cost, quota));
            }
            if returned < held.len() {
                limiter.give_back(held.remove(returned).2);
            }
            prop_assert!(limiter.peek("k").remaining <= settings.capacity);
        }

        used.extend(held.iter().map(|(time, cost, _)| (*time, *cost)));
        prop_assert_eq!(None, settings.broken_window(&used));
    }

    #[test]
    fn giving_back_at_once_is_as_if_nothing_had_been_taken(
        settings in settings(),
        visits in visits(2, 3_000),
        cost in 1_u64..6,
    ) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);
        for visit in &visits {
            clock.advance(pass(&settings, visit.after.0, visit.after.1));
            limiter.allow(("k", Cost::new(visit.cost).unwrap()));
        }
        let before = limiter.peek("k");

        let ask = ("k", Cost::new(cost).unwrap());
        if let Ok(quota) = limiter.acquire_quota_blocking(ask, Some(Duration::ZERO)) {
            limiter.give_back(quota);
        }

        prop_assert_eq!(before, limiter.peek("k"));
    }
}

#[test]
fn what_was_given_back_counts_no_second_time() {
    let clock = MockClock::new();
    let rate = Rate::per_second(1.0).unwrap();
    let limiter = TokenBucket::builder(2, rate).clock(&clock).build().unwrap();
    let take = || limiter.acquire_quota_blocking("k", Some(Duration::ZERO)).unwrap();
    let (first, second) = (take(), take());
    limiter.give_back(first);
    let third = take();
    clock.advance(Duration::from_millis(1500));
    take();

    // Had neither been taken, one permit of two would have been taken, just now.
    limiter.give_back(second);
    limiter.give_back(third);

    assert!(limiter.allow("k"));
    clock.advance(Duration::from_millis(500));
    assert!(!limiter.allow("k"), "three in half a second, where capacity + rate * W is 2.5");
}
