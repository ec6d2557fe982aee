//! What a limiter says it admits at most, and what it admits.

use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, Cost, MockClock, TokenBucket};
use proptest::prelude::*;

use super::{Event, bucket_on, cases, events, pass, set_back, thousandths};
use crate::models::{Settings, settings, span};

/// Returns what is admitted and when, on a limiter that is asked so.
fn admitted(
    settings: &Settings,
    limiter: &AnyLimiter,
    clock: &MockClock,
    events: Vec<Event>,
) -> Vec<(i64, u64)> {
    let mut grants = Vec::new();
    for event in events {
        let (granted, cost) = match event {
            Event::Pass(parts, nanos) => {
                clock.advance(pass(settings, parts, nanos));
                continue;
            }
            Event::SetBack(nanos) => {
                set_back(clock, nanos);
                continue;
            }
            Event::Check(_, cost) => (limiter.allow(("k", Cost::new(cost).unwrap())), cost),
            Event::Acquire(_, cost, parts) => {
                let timeout = span(thousandths(settings, parts));
                let ask = ("k", Cost::new(cost).unwrap());
                (limiter.acquire_timeout_blocking(ask, timeout).is_ok(), cost)
            }
            Event::Peek(..) | Event::Reset(_) => continue,
        };
        grants.extend(granted.then(|| (clock.steady().as_nanos(), cost)));
    }
    grants
}

/// Returns the first window in which more was admitted than the limiter says.
fn broken_bound(limiter: &AnyLimiter, grants: &[(i64, u64)]) -> Option<String> {
    (0..grants.len()).find_map(|first| {
        let (begin, mut permits) = (grants[first].0, 0);
        grants[first..].iter().find_map(|(end, cost)| {
            permits += cost;
            let bound = limiter.bound(span(end - begin));
            (permits > bound).then(|| format!("{permits} from {begin} to {end}, bound {bound}"))
        })
    })
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn a_bound_is_capacity_and_rate_in_whole_permits(
        settings in settings(),
        nanos in prop_oneof![Just(0_u64), 0_u64..20_000_000_000, any::<u64>()],
    ) {
        let limiter = bucket_on(settings, MockClock::new());

        let window = Duration::from_nanos(nanos);

        let added = i128::from(nanos) * settings.rate.count / settings.rate.nanos;
        let exact = u64::try_from(i128::from(settings.most()) + added).unwrap();
        prop_assert_eq!(exact, limiter.bound(window));
    }

    #[test]
    fn no_window_holds_more_than_the_bound_of_its_length(
        settings in settings(),
        events in events(),
    ) {
        let clock = MockClock::new();
        let limiter = bucket_on(settings, &clock);

        let grants = admitted(&settings, &limiter, &clock, events);

        prop_assert_eq!(None, broken_bound(&limiter, &grants));
    }

    #[test]
    fn no_window_of_a_composite_holds_more_than_the_bound_of_its_length(
        one in settings(),
        other in settings(),
        events in events(),
    ) {
        let clock = MockClock::new();
        let parts = [bucket_on(one, &clock), bucket_on(other, &clock)];
        let limiter: AnyLimiter = CompositeLimiter::new(parts.clone()).unwrap().into();

        let grants = admitted(&one, &limiter, &clock, events);

        prop_assert_eq!(None, broken_bound(&limiter, &grants));
        let window = Duration::from_secs(1);
        let least = parts.iter().map(|part| part.bound(window)).min();
        prop_assert_eq!(least, Some(limiter.bound(window)));
    }
}

#[test]
fn a_bound_beyond_all_bounds_saturates() {
    let fast = TokenBucket::per("1000000/s").unwrap().build().unwrap();
    let slow = TokenBucket::per("1 per 1000 weeks").unwrap().build().unwrap();

    assert_eq!(u64::MAX, fast.bound(Duration::MAX));
    // 2^64 - 1 seconds, and a nanosecond less than one more.
    assert_eq!(1 + u64::MAX / 604_800_000, slow.bound(Duration::MAX));
}
