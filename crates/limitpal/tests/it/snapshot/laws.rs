//! Never is more admitted than without the restart, whatever came before and comes after.

use std::time::Duration;

use limitpal::{Cost, Evict, MockClock};
use proptest::prelude::*;

use super::{another_clock, unlimited};
use crate::evict::{ALL_KINDS, KINDS, Limited, Memory, PER, limited};

/// Those whose windows lie on the clock: another clock has them elsewhere.
const FIXED: usize = 2;
const COUNTER: usize = 4;

#[derive(Clone, Debug)]
struct Visit {
    after: u64,
    key: u8,
    cost: u64,
    /// A restart before it, and what the new clock reads then.
    restart: Option<i64>,
}

fn visits(restarts: u32) -> impl Strategy<Value = Vec<Visit>> {
    let per = PER.as_nanos() as u64;
    let after = prop_oneof![2 => Just(0), 3 => 0..per / 4, 1 => 0..2 * per];
    let restart = prop_oneof![12 => Just(None), restarts => (-40_000_i64..40_000).prop_map(Some)];
    let visit = (after, 0_u8..3, prop_oneof![3 => Just(1_u64), 1 => 1_u64..6], restart);
    let visit = visit.prop_map(|(after, key, cost, restart)| Visit { after, key, cost, restart });
    proptest::collection::vec(visit, 1..80)
}

fn restarted(kind: usize, old: &Limited, now: i64) -> (MockClock, Limited) {
    let memory = Memory { max_buckets: None, evict: Evict::RefuseNew };
    remembering(kind, memory, old, now)
}

fn remembering(kind: usize, memory: Memory, old: &Limited, now: i64) -> (MockClock, Limited) {
    let clock = another_clock(now);
    let new = limited(kind, memory, &clock);
    (new.restore)(&(old.snapshot)()).unwrap();
    (clock, new)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_same_calls_get_the_same_answers(
        kind in (0..KINDS).prop_filter("its first window is longer", |kind| *kind != FIXED),
        visits in visits(1),
    ) {
        let (whole_clock, mut clock) = (MockClock::new(), MockClock::new());
        let (whole, mut limited) = (unlimited(kind, &whole_clock), unlimited(kind, &clock));

        for visit in visits {
            if let Some(now) = visit.restart {
                // Where windows lie on the clock, the new one is to have them at the same places.
                let per = PER.as_nanos() as i64;
                let apart = (now - clock.now().as_nanos()).div_euclid(per) * per;
                let on_the_clock = clock.now().as_nanos() + apart;
                let now = if kind == COUNTER { on_the_clock } else { now };
                (clock, limited) = restarted(kind, &limited, now);
            }
            whole_clock.advance(Duration::from_nanos(visit.after));
            clock.advance(Duration::from_nanos(visit.after));
            let name = format!("key {}", visit.key);
            let ask = (&*name, Cost::new(visit.cost).unwrap());
            prop_assert_eq!(whole.limiter.check(ask), limited.limiter.check(ask));
        }
    }

    #[test]
    fn no_window_across_restarts_admits_more_than_the_bound(
        kind in 0..ALL_KINDS,
        max_buckets in proptest::option::of(1_usize..3),
        visits in visits(3),
    ) {
        let memory = Memory { max_buckets, evict: Evict::RefuseNew };
        let mut clock = MockClock::new();
        let mut limiter = limited(kind, memory, &clock);
        // Of one key, on a line of time on which restarts take none.
        let (mut line, mut went) = (0, Vec::new());

        for visit in visits {
            if let Some(now) = visit.restart {
                (clock, limiter) = remembering(kind, memory, &limiter, now);
            }
            clock.advance(Duration::from_nanos(visit.after));
            line += visit.after;
            let name = format!("key {}", visit.key);
            if limiter.limiter.allow((&*name, Cost::new(visit.cost).unwrap())) && visit.key == 0 {
                went.push((line, visit.cost));
            }
        }

        for (first, (begin, _)) in went.iter().enumerate() {
            let mut permits = 0;
            for (end, cost) in &went[first..] {
                permits += cost;
                let bound = limiter.limiter.bound(Duration::from_nanos(end - begin));
                prop_assert!(permits <= bound, "{permits} from {begin} to {end}, not {bound}");
            }
        }
    }

    #[test]
    fn never_is_more_left_than_without_the_restart_until_somebody_takes(
        kind in 0..KINDS,
        visits in visits(2),
        now in -40_000_i64..40_000,
        gap in prop_oneof![Just(0), 0_u64..30_000],
        later in proptest::collection::vec(0_u64..6_000, 1..20),
    ) {
        let mut clock = MockClock::new();
        let mut limited = unlimited(kind, &clock);
        let was_restarted = visits.iter().any(|visit| visit.restart.is_some());
        for visit in visits {
            if let Some(now) = visit.restart {
                (clock, limited) = restarted(kind, &limited, now);
            }
            clock.advance(Duration::from_nanos(visit.after));
            limited.limiter.allow(("k", Cost::new(visit.cost).unwrap()));
        }
        let (new_clock, new) = restarted(kind, &limited, now);
        clock.advance(Duration::from_nanos(gap));

        let mut passed = 0;
        for after in later {
            clock.advance(Duration::from_nanos(after));
            new_clock.advance(Duration::from_nanos(after));
            passed += after;
            let (old, new) = (limited.limiter.peek("k"), new.limiter.peek("k"));
            // A window of the clock that a restart has made longer is not made longer by another.
            if !([FIXED, COUNTER].contains(&kind) && was_restarted) {
                prop_assert!(new.remaining <= old.remaining);
                prop_assert!(new.retry_after >= old.retry_after);
            }
            let per = PER.as_nanos() as u64;
            // It is as new after two more windows at the latest, however often it was restarted.
            prop_assert!(passed < 3 * per || new.reset_after.is_zero());
        }
    }
}
