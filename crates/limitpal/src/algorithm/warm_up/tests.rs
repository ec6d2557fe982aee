//! The ramp is Sentinel's, in permits and floats, drawn slice by slice.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;

use super::*;

/// The bucket as Sentinel's formulas have it: permits, seconds, floats, and no closed form.
struct Model {
    capacity: f64,
    rate: f64,
    warning: f64,
    max: f64,
    slope: f64,
    /// When it is full, and the permits stored then.
    level: f64,
    stored: f64,
}

impl Model {
    fn new(capacity: u32, rate: f64, warm_up: f64, cold: f64) -> Self {
        let warning = warm_up * rate / (cold - 1.0);
        let max = warning + 2.0 * warm_up * rate / (1.0 + cold);
        let slope = (cold - 1.0) / rate / (max - warning);
        let (level, capacity) = (f64::NEG_INFINITY, f64::from(capacity));
        Self { capacity, rate, warning, max, slope, level, stored: max }
    }

    /// Returns the seconds of so many permits, at a store of so many, where `1 / rate` is the time of one and
    /// above the warning line `above * slope + 1 / rate`.
    fn time_of(&self, stored: f64, permits: f64) -> f64 {
        const SLICES: u32 = 4000;
        let slice = permits / f64::from(SLICES);
        let time = |at: u32| {
            let left = stored - slice * (f64::from(at) + 0.5);
            slice * ((left - self.warning).max(0.0) * self.slope + 1.0 / self.rate)
        };
        (0..SLICES).map(time).sum()
    }

    fn idle(&mut self, now: f64) {
        if self.level < now {
            let idle = (now - self.level) * self.rate;
            (self.stored, self.level) = ((self.stored + idle).min(self.max), now);
        }
    }

    /// Returns how long a call must wait.
    fn wait(&mut self, permits: f64, now: f64) -> f64 {
        self.idle(now);
        (self.level - now - (self.capacity - permits) / self.rate).max(0.0)
    }

    fn take(&mut self, permits: f64, now: f64) {
        self.idle(now);
        self.level += self.time_of(self.stored, permits);
        self.stored = (self.stored - permits).max(0.0);
    }
}

fn bucket(capacity: u32, rate: f64, warm_up: f64, cold: f64) -> WarmUp {
    let rate = Rate::per_second(rate).unwrap();
    WarmUp::new(capacity, rate, Duration::from_secs_f64(warm_up), cold).unwrap()
}

fn at(seconds: f64) -> Instant {
    Instant::from_nanos((seconds * 1e9).round() as i64)
}

/// Returns how many go in each second of those who go one after the other at a cold bucket.
fn ramp(bucket: &WarmUp, seconds: usize) -> Vec<u32> {
    let (mut state, mut went, mut now) = (bucket.fresh(), vec![0; seconds], Instant::ZERO);
    while let Some(count) = went.get_mut(now.as_nanos() as usize / 1_000_000_000) {
        bucket.take(&mut state, 1, now).unwrap();
        *count += 1;
        now = bucket.turn(&state, 1, now);
    }
    went
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_waits_as_the_formulas_have_it(
        capacity in 1_u32..8,
        rate in prop_oneof![Just(5.0), Just(3.0), Just(100.0), 0.5_f64..200.0],
        warm_up in 0.2_f64..20.0,
        cold in (1010_u32..6000).prop_map(|cold| f64::from(cold) / 1000.0),
        steps in proptest::collection::vec((prop_oneof![3 => 0.0_f64..3.0, 1 => 0.0_f64..60.0], 1_u32..8), 1..30),
    ) {
        let (bucket, mut model) = (bucket(capacity, rate, warm_up, cold), Model::new(capacity, rate, warm_up, cold));
        let (mut state, mut now) = (bucket.fresh(), 0.0);
        for (intervals, cost) in steps {
            now = (f64::round((now + intervals / rate) * 1e9)) / 1e9;
            let cost = cost.min(capacity);
            let wait = bucket.retry_after(&state, cost.into(), at(now)).duration().unwrap().as_secs_f64();
            let told = model.wait(f64::from(cost), now);
            prop_assert!((wait - told).abs() < 1e-6 + 1e-6 * warm_up, "{wait} and {told} at {now}");
            now = f64::round((now + wait) * 1e9) / 1e9;
            prop_assert!(bucket.take(&mut state, cost.into(), at(now)).is_some());
            model.take(f64::from(cost), now);
        }
    }

    #[test]
    fn it_refuses_until_retry_after_and_is_never_ahead_of_a_warm_one(
        capacity in 1_u32..8,
        rate in prop_oneof![Just(3.0), Just(7.0), 0.5_f64..1e6],
        warm_up in 1e-6_f64..20.0,
        cold in 1.001_f64..9.0,
        steps in proptest::collection::vec((0.0_f64..4.0, 1_u64..8), 1..60),
    ) {
        let (ramp, rate) = (bucket(capacity, rate, warm_up, cold), Rate::per_second(rate).unwrap());
        let warm = Bucket::new(capacity, rate, Pace::Burst).unwrap();
        let (mut state, mut level, mut now) = (ramp.fresh(), Level::FRESH, Instant::ZERO);
        for (intervals, cost) in steps {
            now = now + Duration::from_secs_f64(intervals / rate.as_per_second());
            let mut copy = state;
            match ramp.retry_after(&state, cost, now) {
                RetryAfter::Now => {
                    prop_assert!(ramp.take(&mut state, cost, now).is_some());
                    level = warm.take(level, cost, now).expect("a warm one admits it as well");
                }
                RetryAfter::After(wait) => {
                    let before = now + (wait - Duration::from_nanos(1));
                    prop_assert!(ramp.take(&mut copy, cost, before).is_none());
                    prop_assert!(ramp.take(&mut copy, cost, now + wait).is_some());
                    prop_assert_eq!(now + wait, ramp.turn(&state, cost, now));
                }
                answer => prop_assert_eq!((RetryAfter::Never, true), (answer, cost > capacity.into())),
            }
            // So many go one by one, and no more.
            let (mut copy, mut count) = (state, 0);
            while ramp.take(&mut copy, 1, now).is_some() {
                count += 1;
            }
            prop_assert_eq!(count, ramp.decision(&state, RetryAfter::Now, now).remaining);
            // As new is who answers as a new one does.
            let fresh_at = ramp.fresh_at(&state).max(now);
            let (mut old, mut new) = (state, ramp.fresh());
            ramp.put(&mut old, 1, fresh_at);
            ramp.put(&mut new, 1, fresh_at);
            prop_assert_eq!((new.level.level(), new.stored.level()), (old.level.level(), old.stored.level()));
        }
    }

    #[test]
    fn the_last_take_is_undone_wholly_and_others_as_far_as_they_count(
        rate in prop_oneof![Just(3.0), Just(7.0), 0.5_f64..1e3],
        warm_up in 1e-3_f64..20.0,
        steps in proptest::collection::vec((0.0_f64..6.0, 1_u64..6), 1..40),
        which in any::<prop::sample::Index>(),
    ) {
        let ramp = bucket(6, rate, warm_up, 3.0);
        let (mut state, mut now, mut takes, mut states) = (ramp.fresh(), Instant::ZERO, Vec::new(), vec![ramp.fresh()]);
        for (intervals, cost) in steps {
            now = now + Duration::from_secs_f64(intervals / rate);
            if let Some(mark) = ramp.take(&mut state, cost, now) {
                takes.push((cost, mark, now));
                states.push(state);
            }
        }
        let Some((cost, mark, _)) = takes.last() else { return Ok(()) };
        let (mut undone, mut before) = (state, states[states.len() - 2]);
        prop_assert_eq!(Undone::Wholly, ramp.undo(&mut undone, *cost, *mark, now));
        prop_assert_eq!(ramp.put(&mut before, 1, now).after, ramp.put(&mut undone, 1, now).after);

        let index = which.index(takes.len());
        let (cost, mark, _) = takes.remove(index);
        let (mut undone, mut never) = (state, ramp.fresh());
        if ramp.undo(&mut undone, cost, mark, now) != Undone::Not {
            for (cost, _, at) in &takes {
                ramp.put(&mut never, *cost, *at);
            }
            let after = |mut state| ramp.put(&mut state, 1, now).after;
            prop_assert!(after(undone) >= after(never), "{undone:?} and {never:?}");
        }
        prop_assert_eq!(Undone::Not, ramp.undo(&mut undone, 1, crate::algorithm::mark(now), now));
    }

    #[test]
    fn at_the_ends_of_time_and_of_numbers_nothing_panics(
        capacity in prop_oneof![Just(1_u32), Just(u32::MAX)],
        rate in prop_oneof![Just(1e6), Just(2.0)],
        warm_up in prop_oneof![Just(Duration::from_nanos(1)), Just(LONGEST)],
        cold in prop_oneof![Just(1.001), Just(3.0), Just(1000.0)],
        now in prop_oneof![Just(-(i64::MAX / 2)), Just(0), Just(i64::MAX / 2)],
        costs in proptest::collection::vec(prop_oneof![Just(1_u64), Just(u64::from(u32::MAX)), Just(u64::MAX)], 1..6),
    ) {
        let rate = Rate::per_second(rate).unwrap();
        let ramp = WarmUp::new(capacity, rate, warm_up, cold).unwrap();
        let (mut state, mut held, now) = (ramp.fresh(), ramp.held(), Instant::from_nanos(now));
        prop_assert_eq!(Instant::MAX, ramp.fresh_at(&held));
        for cost in costs {
            prop_assert!(ramp.take(&mut held, cost, now).is_none());
            if let Some(mark) = ramp.take(&mut state, cost, now) {
                ramp.undo(&mut state, cost, mark, now);
                ramp.put(&mut state, cost, now);
            }
            ramp.decision(&state, ramp.retry_after(&state, cost, now), now);
        }
    }
}

#[test]
fn a_cold_bucket_ramps_from_a_third_to_the_whole_rate() {
    let went = ramp(&bucket(1, 300.0, 10.0, 3.0), 15);

    assert!((100..106).contains(&went[0]), "{went:?}");
    assert!(went[..11].is_sorted(), "{went:?}");
    // Halfway: 300 / sqrt(1 + 8 / 2).
    assert!(went[4] < 134 && went[5] > 134, "{went:?}");
    assert!(went[9] > 240 && went[9] < 300, "{went:?}");
    assert!(went[11..].iter().all(|went| went.abs_diff(300) <= 1), "{went:?}");
}

#[test]
fn an_idle_bucket_cools_in_the_time_it_took_to_warm_up() {
    let bucket = bucket(1, 30.0, 10.0, 3.0);
    let mut state = bucket.fresh();
    let mut now = Instant::ZERO;
    for _ in 0..1000 {
        now = bucket.turn(&state, 1, now);
        bucket.put(&mut state, 1, now);
    }

    let left = bucket.fresh_at(&state).saturating_duration_since(now).as_secs_f64();
    assert!((10.0..10.1).contains(&left), "{left}");
}
