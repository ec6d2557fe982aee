//! What holds for every history of an adaptive rate.

use std::time::Duration;

use limitpal::{AdaptiveLimiter, Cost, Instant, MockClock, RateAlgorithm};
use proptest::prelude::*;

use super::{NANO, per_second, starting};
use crate::windows::waiting::Crowd;

/// What can happen to a limiter.
#[derive(Clone, Copy, Debug)]
enum Event {
    Allow(u64),
    Acquire(u64),
    Success,
    Throttled,
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u64..=3).prop_map(Event::Allow),
        2 => (1_u64..=3).prop_map(Event::Acquire),
        4 => Just(Event::Success),
        1 => Just(Event::Throttled),
        3 => (0_u64..400_000_000).prop_map(Event::Pass),
        1 => (0_u64..20_000_000_000).prop_map(Event::Pass),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 1..150)
}

fn algorithm() -> impl Strategy<Value = RateAlgorithm> {
    prop::sample::select(&[RateAlgorithm::Cubic, RateAlgorithm::Aimd][..])
}

/// Lets one thing happen; returns what it took.
fn happen(limiter: &AdaptiveLimiter, clock: &MockClock, event: Event) -> u64 {
    let ask = |cost| ("api", Cost::new(cost).unwrap());
    match event {
        Event::Allow(cost) => u64::from(limiter.allow(ask(cost))) * cost,
        Event::Acquire(cost) => limiter.acquire_blocking(ask(cost)).map_or(0, |()| cost),
        Event::Success => {
            limiter.record_success("api");
            0
        }
        Event::Throttled => {
            limiter.record_throttled("api");
            0
        }
        Event::Pass(nanos) => {
            clock.advance(Duration::from_nanos(nanos));
            0
        }
    }
}

fn limiter(algorithm: RateAlgorithm, start: f64, clock: &MockClock) -> AdaptiveLimiter {
    let builder = starting(20.0, clock).algorithm(algorithm).initial_rate(per_second(start));
    builder.burst(3).forget_after(Duration::from_secs(15)).build().unwrap()
}

/// Returns the most that went in any window of this length, both ends included.
fn most(went: &[(i64, u64)], window: i64) -> u64 {
    let within = |from: i64| {
        let inside = went.iter().filter(move |(at, _)| (from..=from + window).contains(at));
        inside.map(|(_, cost)| cost).sum()
    };
    went.iter().map(|(from, _)| within(*from)).max().unwrap_or(0)
}

proptest! {
    /// Whatever is heard, the rate keeps its bounds, and no window admits more than `bound`.
    #[test]
    fn no_window_admits_more_than_the_bound(
        events in events(),
        algorithm in algorithm(),
        start in 1.0..20.0_f64,
        windows in prop::collection::vec(0_i64..5_000_000_000, 6),
    ) {
        let clock = MockClock::new();
        let limiter = limiter(algorithm, start, &clock);
        let mut went = Vec::new();
        for event in events {
            let cost = happen(&limiter, &clock, event);
            went.push((clock.now().as_nanos(), cost));
            prop_assert!((0.5..=20.0).contains(&limiter.rate("api")), "{}", limiter.rate("api"));
        }
        for window in windows {
            let bound = limiter.bound(Duration::from_nanos(window.unsigned_abs()));
            prop_assert!(most(&went, window) <= bound, "in {window} ns: {bound}");
        }
    }

    /// Refused a nanosecond before, admitted at it.
    #[test]
    fn retry_after_is_exact_at_whatever_rate(
        events in events(),
        algorithm in algorithm(),
        start in 1.0..20.0_f64,
        cost in 1_u64..=3,
    ) {
        let clock = MockClock::new();
        let limiter = limiter(algorithm, start, &clock);
        for event in events {
            happen(&limiter, &clock, event);
        }
        let ask = ("api", Cost::new(cost).unwrap());
        let wait = limiter.peek(ask).retry_after.duration().unwrap();
        if wait > Duration::ZERO {
            clock.advance(wait - NANO);
            prop_assert!(!limiter.allow(ask));
            clock.advance(NANO);
        }
        prop_assert!(limiter.allow(ask));
    }

    /// Only successes raise a rate: not refusals, not looks, not time.
    #[test]
    fn own_refusals_never_raise_a_rate(
        events in events(),
        algorithm in algorithm(),
        start in 1.0..20.0_f64,
    ) {
        let clock = MockClock::new();
        let limiter = limiter(algorithm, start, &clock);
        for event in events {
            let (before, at) = (limiter.rate("api"), clock.now());
            happen(&limiter, &clock, event);
            let is_forgotten = clock.now().saturating_duration_since(at) >= Duration::from_secs(10);
            if !matches!(event, Event::Success) && !is_forgotten {
                for _ in 0..20 {
                    limiter.allow("api");
                    limiter.peek("api");
                }
                prop_assert!(limiter.rate("api") <= before.max(start), "{event:?}");
            }
        }
    }

    /// A store with room for few decides as one that forgets nothing, while others are idle.
    #[test]
    fn forgetting_what_is_as_new_loses_nothing(
        events in prop::collection::vec((event(), 0_u8..4), 1..150),
        algorithm in algorithm(),
        start in 1.0..20.0_f64,
    ) {
        let clocks = [MockClock::new(), MockClock::new()];
        let make = |clock: &MockClock| {
            let builder = starting(20.0, clock).algorithm(algorithm).burst(3);
            let builder = builder.initial_rate(per_second(start));
            builder.forget_after(Duration::from_secs(15))
        };
        let all = make(&clocks[0]).build().unwrap();
        let few = make(&clocks[1]).ttl(NANO).cleanup_interval(1).max_buckets(9).build().unwrap();
        for (event, other) in events {
            let taken = [(&all, &clocks[0]), (&few, &clocks[1])].map(|(limiter, clock)| {
                limiter.allow(&format!("other {other}"));
                happen(limiter, clock, event)
            });
            prop_assert_eq!(taken[0], taken[1]);
            prop_assert_eq!(all.rate("api"), few.rate("api"));
            prop_assert_eq!(all.peek("api"), few.peek("api"));
        }
        prop_assert_eq!(0, few.evicted_live());
    }

    /// What is given back is there again, and never more than the take left.
    #[test]
    fn quota_that_is_given_back_never_exceeds_the_bound(
        events in prop::collection::vec((event(), any::<bool>()), 1..120),
        algorithm in algorithm(),
        windows in prop::collection::vec(0_i64..3_000_000_000, 4),
    ) {
        let clock = MockClock::new();
        let limiter = limiter(algorithm, 10.0, &clock);
        let mut quotas = std::collections::VecDeque::new();
        let mut went = Vec::new();
        for (event, gives) in events {
            if let Event::Allow(cost) = event {
                let ask = ("api", Cost::new(cost).unwrap());
                let quota = limiter.acquire_quota_blocking(ask, Some(Duration::ZERO));
                if let Ok(quota) = quota {
                    quotas.push_back((quota, clock.now().as_nanos(), cost));
                }
            } else {
                happen(&limiter, &clock, event);
            }
            if let (true, Some((quota, at, cost))) = (gives, quotas.pop_front()) {
                let before = limiter.peek("api").remaining;
                limiter.give_back(quota);
                let after = limiter.peek("api").remaining;
                prop_assert!(u64::from(after - before) <= cost);
                let _ = at;
            }
        }
        // What was never given back keeps to the bound.
        went.extend(quotas.iter().map(|(_, at, cost)| (*at, *cost)));
        for window in windows {
            let bound = limiter.bound(Duration::from_nanos(window.unsigned_abs()));
            prop_assert!(most(&went, window) <= bound, "in {window} ns: {bound}");
        }
    }

    /// Whoever took and gave back has no more than who never took; at the same instant, as much.
    #[test]
    fn giving_back_gains_nothing(
        steps in prop::collection::vec((0_u64..400_000_000, 1_u64..=3), 0..12),
        slower in any::<bool>(),
    ) {
        let clock = MockClock::new();
        let [gives, never] = [(); 2].map(|()| limiter(RateAlgorithm::Cubic, 4.0, &clock));
        let three = ("api", Cost::new(3).unwrap());
        let quota = gives.acquire_quota_blocking(three, Some(Duration::ZERO)).unwrap();
        for (pass, cost) in &steps {
            clock.advance(Duration::from_nanos(*pass));
            let ask = ("api", Cost::new(*cost).unwrap());
            if gives.allow(ask) {
                prop_assert!(never.allow(ask));
            }
        }
        if slower {
            gives.record_throttled("api");
        }

        gives.give_back(quota);

        let [gives, never] = [gives, never].map(|limiter| limiter.peek("api").remaining);
        prop_assert!(gives <= never, "{gives} of {never}");
        prop_assert!(!steps.is_empty() || gives == never);
    }

    /// Whoever stands behind a crowd is told when it goes, and goes then.
    #[test]
    fn a_place_behind_a_crowd_is_told_exactly(
        events in prop::collection::vec(event(), 0..30),
        costs in prop::collection::vec(1_u64..=3, 1..12),
        last in 1_u64..=3,
        algorithm in algorithm(),
    ) {
        let clock = MockClock::new();
        let limiter = limiter(algorithm, 9.0, &clock);
        for event in events {
            happen(&limiter, &clock, event);
        }
        let mut crowd = Crowd::at(&limiter, "api");
        for cost in &costs {
            crowd.come(*cost);
        }
        let ask = ("api", Cost::new(last).unwrap());
        let told = clock.now() + limiter.peek(ask).retry_after.duration().unwrap();

        let who = crowd.come(last);
        while !crowd.went.contains(&who) {
            let wait = told.saturating_duration_since(clock.now());
            // In steps, so that those ahead go in their turn.
            let step = if wait > NANO { (wait - NANO).min(Duration::from_millis(20)) } else { NANO };
            clock.advance(step);
            crowd.run();
            prop_assert!(clock.now() <= told, "told {told:?}, now {:?}", clock.now());
        }
        prop_assert_eq!(told.max(clock.now()), clock.now());
    }

    /// What is restored admits as what was written down did, at whatever time of another clock.
    #[test]
    fn what_is_restored_goes_on_where_it_was(
        events in events(),
        later in events(),
        algorithm in algorithm(),
        zero in -5_000_000_000_i64..5_000_000_000,
    ) {
        let clocks = [MockClock::new(), MockClock::starting_at(Instant::from_nanos(zero))];
        let [old, new] = [0, 1].map(|at| limiter(algorithm, 9.0, &clocks[at]));
        for event in events {
            happen(&old, &clocks[0], event);
        }

        new.restore(&old.snapshot()).unwrap();

        for event in later {
            prop_assert_eq!(old.rate("api"), new.rate("api"));
            prop_assert_eq!(old.peek("api"), new.peek("api"));
            let took = [(&old, &clocks[0]), (&new, &clocks[1])];
            let took = took.map(|(limiter, clock)| happen(limiter, clock, event));
            prop_assert_eq!(took[0], took[1]);
        }
    }
}
