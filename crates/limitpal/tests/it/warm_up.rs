//! The bucket that warms up, as its users see it.

use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, Cost, Instant, MockClock, Rate, RetryAfter, TokenBucket,
    WarmUpBucket, WarmUpBuilder,
};
use proptest::prelude::*;

use crate::conformance::tasks::Tasks;

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

/// Ten a second when warm, after eight seconds.
fn ten_a_second(capacity: u32, clock: &MockClock) -> WarmUpBuilder {
    let rate = Rate::per_second(10.0).unwrap();
    WarmUpBucket::builder(capacity, rate, SECOND * 8).clock(clock)
}

fn build(builder: WarmUpBuilder) -> WarmUpBucket {
    builder.build().unwrap()
}

/// Goes one after the other for so long; returns how many went.
fn load(limiter: &AnyLimiter, clock: &MockClock, seconds: u64) -> usize {
    let end = clock.now() + SECOND * u32::try_from(seconds).unwrap();
    let one = |_| {
        limiter.acquire_blocking("ann").unwrap();
        clock.now() < end
    };
    (0..).take_while(|_| one(())).count()
}

#[test]
fn a_key_warms_up_under_load_and_cools_when_idle() {
    let clock = MockClock::new();
    let limiter: AnyLimiter = build(ten_a_second(1, &clock)).into();

    let cold = load(&limiter, &clock, 2);
    let warming = load(&limiter, &clock, 6);
    let warm = load(&limiter, &clock, 2);
    assert!((6..10).contains(&cold), "{cold}");
    assert!(warming > 3 * cold && warming < 60, "{warming}");
    assert!((19..=20).contains(&warm), "{warm}");
    clock.advance(SECOND * 30);
    assert_eq!(cold, load(&limiter, &clock, 2));
}

#[test]
fn a_burst_at_a_cold_key_is_smaller_and_any_cost_up_to_the_capacity_is_served() {
    let clock = MockClock::new();
    let limiter = build(ten_a_second(9, &clock));

    assert_eq!(3, limiter.peek("ann").remaining);
    let went = limiter.allow_many(["ann"; 9]);
    assert_eq!(3, went.iter().filter(|went| **went).count());
    assert!(limiter.allow(("bob", Cost::new(9).unwrap())), "its price is paid by those after it");
    assert!(limiter.check("bob").retry_after > RetryAfter::After(SECOND));
    assert_eq!(RetryAfter::Never, limiter.peek(("cid", Cost::new(10).unwrap())).retry_after);
}

#[test]
fn those_who_wait_go_in_the_order_they_came_each_at_its_time() {
    let clock = MockClock::new();
    let limiter = build(ten_a_second(1, &clock));
    let (mut tasks, mut went) = (Tasks::new(), Vec::new());
    for who in 0..6 {
        let limiter = limiter.clone();
        tasks.spawn(&who.to_string(), async move {
            limiter.acquire("ann").await.unwrap();
            who
        });
    }
    tasks.cancel("3");
    let mut pass = |tasks: &mut Tasks<u32>, nanos| {
        tasks.pass(&clock, clock.now() + Duration::from_nanos(nanos), |_, who| {
            went.push((who, clock.now()));
        });
    };
    pass(&mut tasks, 0);
    pass(&mut tasks, 3_000_000_000);

    let order: Vec<_> = went.iter().map(|(who, _)| *who).collect();
    assert_eq!(vec![0, 1, 2, 4, 5], order);
    // A permit of a cold key is 0.3 s, a little less with each that goes.
    let gaps: Vec<_> = went
        .windows(2)
        .map(|two| (two[1].1.as_nanos() - two[0].1.as_nanos()) / 1_000_000)
        .collect();
    assert!(gaps[0] > 290 && gaps[0] <= 300 && gaps.is_sorted_by(|a, b| a > b), "{gaps:?}");
}

#[test]
fn a_refused_composite_leaves_it_as_it_was_and_warms_nothing() {
    let clock = MockClock::new();
    let warm = build(ten_a_second(5, &clock));
    let one =
        TokenBucket::builder(1, Rate::per_second(1.0).unwrap()).clock(&clock).build().unwrap();
    let both = CompositeLimiter::new([warm.clone().into(), one.into()]).unwrap();
    assert!(both.allow("ann"));
    for millis in [0, 50, 300, 10_000] {
        clock.advance(Duration::from_millis(millis));
        assert_eq!(millis == 10_000, both.allow("ann"));
        let before = warm.peek("ann");
        for _ in 0..100 {
            assert!(!both.allow("ann"));
        }
        assert_eq!(before, warm.peek("ann"), "after {millis} ms");
    }
}

#[test]
fn nonsense_is_refused_by_name() {
    let rate = || Rate::per_second(10.0).unwrap();
    let message = |capacity, warm_up, cold_factor| {
        let builder = WarmUpBucket::builder(capacity, rate(), warm_up).cold_factor(cold_factor);
        builder.build().map(drop).unwrap_err().to_string()
    };

    assert_eq!(
        "warm_up is 0ns; give a time above 0, 30 days at most",
        message(1, Duration::ZERO, 3.0)
    );
    assert!(message(1, SECOND * 86_400 * 31, 3.0).ends_with("30 days at most"));
    assert_eq!("cold_factor is 1; give a number from 1.001 to 1000", message(1, SECOND, 1.0));
    assert!(message(1, SECOND, f64::NAN).starts_with("cold_factor is NaN"));
    assert!(message(0, SECOND, 3.0).starts_with("capacity is 0"));
}

#[test]
fn what_was_built_is_shown() {
    let limiter = build(ten_a_second(5, &MockClock::new()).cold_factor(2.5));

    let shown = format!("{limiter:?}");
    let told =
        "WarmUpBucket { capacity: 5, refill_rate: 10 per second, warm_up: 8s, cold_factor: 2.5, ";
    assert!(shown.starts_with(told), "{shown}");
    assert_eq!((5, 10.0), (limiter.capacity(), limiter.refill_rate().as_per_second()));
    assert_eq!((SECOND * 8, 2.5), (limiter.warm_up(), limiter.cold_factor()));
}

/// Something that happens after a while, in parts of a permit's time.
#[derive(Clone, Copy, Debug)]
enum Event {
    Allow(u64),
    Acquire(u64),
    /// Gives back what was acquired so many takes ago.
    GiveBack(usize),
}

fn events() -> impl Strategy<Value = Vec<(u32, u8, Event)>> {
    let event = prop_oneof![
        4 => (1_u64..4).prop_map(Event::Allow),
        3 => (1_u64..4).prop_map(Event::Acquire),
        2 => (0_usize..4).prop_map(Event::GiveBack),
    ];
    let pass = prop_oneof![4 => 0_u32..1500, 1 => 0_u32..40_000];
    proptest::collection::vec((pass, 0_u8..3, event), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// What was given back was not admitted, whatever happens then.
    #[test]
    fn no_window_admits_more_than_the_bound_whatever_is_given_back(
        capacity in 3_u32..8,
        millis in 1_u64..9000,
        events in events(),
    ) {
        let clock = MockClock::new();
        let rate = Rate::new(7, SECOND).unwrap();
        let builder = WarmUpBucket::builder(capacity, rate, Duration::from_millis(millis));
        let limiter = builder.clock(&clock).build().unwrap();
        let (mut quotas, mut went) = (Vec::new(), Vec::<(i64, u64)>::new());
        for (pass, _, event) in events {
            clock.advance(SECOND * pass / 7000);
            match event {
                Event::Allow(cost) => {
                    let allowed = limiter.allow(("k", Cost::new(cost).unwrap()));
                    went.extend(allowed.then(|| (clock.now().as_nanos(), cost)));
                }
                Event::Acquire(cost) => {
                    let ask = ("k", Cost::new(cost).unwrap());
                    let quota = limiter.acquire_quota_blocking(ask, None).unwrap();
                    quotas.push((went.len(), quota));
                    went.push((clock.now().as_nanos(), cost));
                }
                Event::GiveBack(back) => {
                    if let Some(index) = quotas.len().checked_sub(back + 1) {
                        let (which, quota) = quotas.remove(index);
                        limiter.give_back(quota);
                        went[which].1 = 0;
                    }
                }
            }
        }
        for (first, (begin, _)) in went.iter().enumerate() {
            let mut sum = 0;
            for (at, cost) in &went[first..] {
                sum += cost;
                let window = Duration::from_nanos(at.abs_diff(*begin));
                prop_assert!(sum <= limiter.bound(window), "{sum} in {window:?}: {went:?}");
            }
        }
    }

    #[test]
    fn eviction_of_what_is_as_new_changes_no_decision(events in events()) {
        let clock = MockClock::new();
        let one = build(ten_a_second(4, &clock).max_buckets(2));
        let all = build(ten_a_second(4, &clock));
        for (pass, key, event) in events {
            clock.advance(Duration::from_micros(u64::from(pass) * 1000));
            let cost = if let Event::Allow(cost) = event { cost } else { 1 };
            let (name, cost) = (key.to_string(), Cost::new(cost).unwrap());
            let told = one.check((&*name, cost));
            if one.evicted_live() > 0 {
                return Ok(());
            }
            prop_assert_eq!(all.check((&*name, cost)), told);
        }
    }

    #[test]
    fn refused_a_nanosecond_before_and_admitted_at_it(events in events()) {
        let clock = MockClock::new();
        let limiter = build(ten_a_second(4, &clock));
        for (pass, _, event) in events {
            clock.advance(Duration::from_micros(u64::from(pass) * 100));
            let (Event::Allow(cost) | Event::Acquire(cost)) = event else { continue };
            let ask = ("k", Cost::new(cost).unwrap());
            if let RetryAfter::After(wait) = limiter.check(ask).retry_after {
                clock.advance(wait - NANO);
                prop_assert!(!limiter.allow(ask));
                clock.advance(NANO);
                prop_assert!(limiter.allow(ask), "{:?}", clock.now().saturating_duration_since(Instant::ZERO));
            }
        }
    }
}

#[test]
fn a_snapshot_has_how_warm_a_key_is() {
    let clock = MockClock::new();
    let old = build(ten_a_second(5, &clock));
    let told = |limiter: &WarmUpBucket| (limiter.peek("ann"), limiter.check("ann"));
    (0..30).for_each(|_| old.acquire_blocking("ann").unwrap());
    clock.advance(Duration::from_millis(1234));

    let new_clock = MockClock::starting_at(Instant::from_nanos(77));
    let new = build(ten_a_second(5, &new_clock));
    new.restore(&old.snapshot()).unwrap();
    assert_eq!(told(&old), told(&new));
    clock.advance(SECOND);
    new_clock.advance(SECOND);
    assert_eq!(told(&old), told(&new));

    let other = build(ten_a_second(5, &clock).cold_factor(2.0));
    assert!(other.restore(&old.snapshot()).is_err(), "it counts in another way");
}
