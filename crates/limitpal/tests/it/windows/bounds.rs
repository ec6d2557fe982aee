//! No window ever admits more than `bound` says, and the worst one nearly as much.

use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, FixedWindow, Instant, MockClock, SlidingWindowLog};
use proptest::prelude::*;

use super::each;

const PER: u64 = 100;
const WINDOW: Duration = Duration::from_nanos(PER);

/// Returns when permits went of those that are asked for at these instants, one by one.
fn admitted(limiter: &AnyLimiter, clock: &MockClock, asked: &[u64]) -> Vec<u64> {
    let went = asked.iter().copied().filter(|at| {
        clock.set_time(Instant::from_nanos(*at as i64));
        limiter.allow("key")
    });
    went.collect()
}

/// Returns the most that went in any window of this length, both ends included.
fn most(went: &[u64], window: u64) -> u64 {
    let within = |from: u64| went.iter().filter(|at| (from..=from + window).contains(at)).count();
    went.iter().map(|from| within(*from) as u64).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn no_window_admits_more_than_its_bound(
        limit in 1_u32..8,
        steps in proptest::collection::vec(prop_oneof![3 => Just(0_u64), 2 => 1_u64..5, 1 => 90_u64..110], 1..150),
        windows in proptest::collection::vec(0_u64..450, 8),
    ) {
        let asked: Vec<u64> = steps.iter().scan(PER - 5, |at, step| { *at += step; Some(*at) }).collect();
        let clock = MockClock::new();
        for limiter in each(limit, WINDOW, &clock) {
            let went = admitted(&limiter, &clock, &asked);
            for window in &windows {
                let bound = limiter.bound(Duration::from_nanos(*window));
                prop_assert!(most(&went, *window) <= bound, "{limiter:?} in {window} ns: {bound}");
            }
        }
    }
}

#[test]
fn the_worst_caller_gets_what_the_bound_says_or_nearly() {
    let clock = MockClock::new();
    // All there is at the end of one window, and then as much as there ever is. A window that
    // starts with its first use is opened by one call before.
    let asked: Vec<u64> = (PER - 1..3 * PER).flat_map(|at| [at; 120]).collect();
    let opened = [&[0], &asked[..]].concat();
    let [on_the_clock, first_use, counter, log] = each(100, WINDOW, &clock);
    let callers = [(on_the_clock, &asked), (first_use, &opened), (counter, &asked), (log, &asked)];
    for (limiter, asked) in callers {
        let went = admitted(&limiter, &clock, asked);
        for window in [0, 1, PER / 2, PER - 1, PER] {
            let bound = limiter.bound(Duration::from_nanos(window));
            let most = most(&went, window);
            assert!(100 * most >= 95 * bound, "{limiter:?} in {window} ns: {most} of {bound}");
        }
    }
}

#[test]
fn a_composite_has_the_least_bound_of_its_parts() {
    let per = Duration::from_secs(60);
    let log = SlidingWindowLog::new(100, per).unwrap();
    let fixed = FixedWindow::new(70, per).unwrap();
    let both = CompositeLimiter::new([log.into(), fixed.into()]).unwrap();

    assert_eq!(70, both.bound(Duration::ZERO));
    assert_eq!(100, both.bound(per - Duration::from_nanos(1)));
}
