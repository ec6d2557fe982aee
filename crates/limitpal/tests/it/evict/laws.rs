//! Rules that hold for every algorithm and policy, whoever calls.

use std::collections::HashSet;
use std::time::Duration;

use limitpal::{AnyLimiter, Cost, Evict, MockClock, RetryAfter};
use proptest::prelude::*;

use super::{KINDS, LIMIT, Limited, Memory, POLICIES, limited};

const NANO: Duration = Duration::from_nanos(1);

/// One call of somebody's, after some time.
#[derive(Clone, Debug)]
struct Visit {
    after: u64,
    /// None for somebody new.
    key: Option<u8>,
    cost: u64,
    /// How long it would wait; none for a call that does not.
    timeout: Option<u64>,
}

fn visits(known: u32, pause: u64) -> impl Strategy<Value = Vec<Visit>> {
    let key = prop_oneof![known => (0_u8..6).prop_map(Some), 1 => Just(None)];
    let cost = prop_oneof![3 => Just(1_u64), 1 => 1_u64..6];
    let timeout = prop_oneof![3 => Just(None), 1 => (0_u64..4_000).prop_map(Some)];
    let visit = (prop_oneof![1 => Just(0), 2 => 0..pause], key, cost, timeout)
        .prop_map(|(after, key, cost, timeout)| Visit { after, key, cost, timeout });
    proptest::collection::vec(visit, 1..120)
}

fn name(rank: usize, key: Option<u8>) -> String {
    key.map_or_else(|| format!("newcomer {rank}"), |key| format!("key {key}"))
}

/// Lets somebody call; returns whether it was let in.
fn call(limiter: &AnyLimiter, name: &str, visit: &Visit) -> bool {
    let ask = (name, Cost::new(visit.cost).unwrap());
    match visit.timeout {
        None => limiter.allow(ask),
        Some(timeout) => {
            limiter.acquire_timeout_blocking(ask, Duration::from_nanos(timeout)).is_ok()
        }
    }
}

/// Returns the first stretch in which more went than so many keys may have.
fn broken(limiter: &AnyLimiter, keys: u64, went: &[(u64, u64)]) -> Option<String> {
    (0..went.len()).find_map(|first| {
        let mut permits = 0;
        went[first..].iter().find_map(|(end, cost)| {
            permits += cost;
            let window = Duration::from_nanos(end - went[first].0);
            let most = keys * limiter.bound(window);
            (permits > most).then(|| format!("{permits} in {window:?}, where {most} may"))
        })
    })
}

fn nanos(clock: &MockClock) -> u64 {
    clock.now().as_nanos() as u64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_flood_gets_what_so_many_keys_may_have(
        kind in 0..KINDS,
        evict in prop_oneof![Just(Evict::RefuseNew), Just(Evict::Inherit)],
        max_buckets in 1_usize..5,
        visits in prop_oneof![visits(1, 1_700), visits(3, 12_000)],
    ) {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: Some(max_buckets), evict };
        let Limited { limiter, len, .. } = limited(kind, memory, &clock);
        let mut went = Vec::new();

        for (rank, visit) in visits.iter().enumerate() {
            clock.advance(Duration::from_nanos(visit.after));
            if call(&limiter, &name(rank, visit.key), visit) {
                went.push((nanos(&clock), visit.cost));
            }
            prop_assert!(len() <= max_buckets);
        }

        prop_assert_eq!(None, broken(&limiter, max_buckets as u64, &went));
    }

    #[test]
    fn while_one_is_as_new_decisions_are_those_of_unbounded_memory(
        kind in 0..KINDS,
        evict in proptest::sample::select(&POLICIES[..]),
        max_buckets in 1_usize..6,
        visits in prop_oneof![visits(2, 1_700), visits(2, 33_000)],
    ) {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: Some(max_buckets), evict };
        let Limited { limiter, evicted_live, refused_new, .. } = limited(kind, memory, &clock);
        let whole = limited(kind, Memory { max_buckets: None, evict }, &clock).limiter;
        let mut known = HashSet::new();

        for (rank, visit) in visits.iter().enumerate() {
            clock.advance(Duration::from_nanos(visit.after));
            let key = name(rank, visit.key);
            let is_live = |name: &&String| !whole.peek(name.as_str()).reset_after.is_zero();
            let others = known.iter().filter(|name| **name != key).filter(is_live).count();
            let ask = (&*key, Cost::new(visit.cost).unwrap());

            let (peeked, decision) = (limiter.peek(ask), limiter.check(ask));
            prop_assert_eq!(peeked.allowed, decision.allowed);
            if others < max_buckets {
                prop_assert_eq!(whole.check(ask), decision);
                prop_assert_eq!((0, 0), (evicted_live(), refused_new()));
            } else {
                // From here on somebody's past is lost, or a newcomer; every place is in use.
                return Ok(());
            }
            known.insert(key);
        }
    }

    #[test]
    fn a_newcomer_is_refused_until_its_retry_after_and_let_in_at_it(
        kind in 0..KINDS,
        evict in prop_oneof![Just(Evict::RefuseNew), Just(Evict::Inherit)],
        max_buckets in 1_usize..5,
        visits in visits(2, 2_500),
        cost in 1_u64..6,
    ) {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: Some(max_buckets), evict };
        let Limited { limiter, refused_new, len, .. } = limited(kind, memory, &clock);
        for (rank, visit) in visits.iter().enumerate() {
            clock.advance(Duration::from_nanos(visit.after));
            call(&limiter, &name(rank, visit.key), visit);
        }
        let ask = ("one more", Cost::new(cost).unwrap());
        let (before, remembered) = (refused_new(), len());

        let peeked = limiter.peek(ask);
        let decision = limiter.check(ask);

        if decision.allowed {
            prop_assert!(peeked.allowed);
            return Ok(());
        }
        prop_assert_eq!(peeked, decision);
        prop_assert_eq!(remembered, len(), "who is refused is not remembered");
        let RetryAfter::After(wait) = decision.retry_after else {
            prop_assert_eq!(RetryAfter::Never, decision.retry_after);
            prop_assert!(cost > LIMIT.into());
            return Ok(());
        };
        prop_assert_eq!(before + u64::from(evict == Evict::RefuseNew), refused_new());
        clock.advance(wait - NANO);
        prop_assert_eq!(RetryAfter::After(NANO), limiter.check(ask).retry_after);
        clock.advance(NANO);
        prop_assert!(limiter.check(ask).allowed);
    }
}

#[test]
fn a_flood_of_a_large_store_gets_what_so_many_keys_may_have() {
    const MOST: usize = 1_100;
    for kind in 0..KINDS {
        for evict in [Evict::RefuseNew, Evict::Inherit] {
            let clock = MockClock::new();
            let memory = Memory { max_buckets: Some(MOST), evict };
            let Limited { limiter, .. } = limited(kind, memory, &clock);
            let mut went: Vec<(u64, u64)> = Vec::new();
            for rank in 0..30_000 {
                if rank % 10 == 0 {
                    clock.advance(NANO);
                }
                if limiter.allow(&*format!("newcomer {rank}")) {
                    match went.last_mut().filter(|(at, _)| *at == nanos(&clock)) {
                        Some((_, cost)) => *cost += 1,
                        None => went.push((nanos(&clock), 1)),
                    }
                }
            }

            assert_eq!(None, broken(&limiter, MOST as u64, &went), "{limiter:?}");
            let all: u64 = went.iter().map(|(_, cost)| cost).sum();
            assert!(all >= MOST as u64, "a newcomer is let in while there is room: {all}");
        }
    }
}

#[test]
fn without_a_policy_a_flood_gets_a_burst_for_each_key() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: Some(3), evict: Evict::NearestNew };
        let Limited { limiter, evicted_live, refused_new, .. } = limited(kind, memory, &clock);
        let burst = Cost::new(LIMIT.into()).unwrap();

        assert!((0..50).all(|rank| limiter.allow((&*format!("newcomer {rank}"), burst))));
        assert_eq!((47, 0), (evicted_live(), refused_new()));
    }
}
