//! The windows answer to the nanosecond as lists do that remember every take.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use proptest::prelude::*;

use super::{Undone, Window, mark};
use crate::algorithm::{Algorithm, Align, FixedCount, SlidingCount, SlidingLog};
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// All takes that went, in their order.
type Takes = Vec<(i64, u64)>;

/// A window as its definition has it: whether a list of takes admits one more.
struct Model {
    limit: u64,
    per: i64,
    admits: fn(&Model, &Takes, u64, i64) -> bool,
}

impl Model {
    fn sum(takes: &Takes, counts: impl Fn(i64) -> bool) -> u64 {
        takes.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| cost).sum()
    }

    fn on_the_clock(&self, takes: &Takes, cost: u64, now: i64) -> bool {
        let window = now.div_euclid(self.per);
        Self::sum(takes, |at| at.div_euclid(self.per) == window) + cost <= self.limit
    }

    fn by_first_use(&self, takes: &Takes, cost: u64, now: i64) -> bool {
        let (mut start, mut count) = (i64::MIN, 0);
        for (at, cost) in takes {
            if start == i64::MIN || *at >= start + self.per {
                (start, count) = (*at, 0);
            }
            count += cost;
        }
        let is_over = start == i64::MIN || now >= start + self.per;
        cost + if is_over { 0 } else { count } <= self.limit
    }

    fn estimated(&self, takes: &Takes, cost: u64, now: i64) -> bool {
        let window = now.div_euclid(self.per);
        let count = Self::sum(takes, |at| at.div_euclid(self.per) == window);
        let before = Self::sum(takes, |at| at.div_euclid(self.per) == window - 1);
        let (per, elapsed) = (self.per.unsigned_abs(), now.rem_euclid(self.per).unsigned_abs());
        before * (per - elapsed) + (count + cost) * per <= self.limit * per
    }

    fn exact(&self, takes: &Takes, cost: u64, now: i64) -> bool {
        Self::sum(takes, |at| at > now - self.per) + cost <= self.limit
    }

    fn admits(&self, takes: &Takes, cost: u64, now: i64) -> bool {
        cost <= self.limit && (self.admits)(self, takes, cost, now)
    }

    /// Returns the most that is admitted.
    fn left(&self, takes: &Takes, now: i64) -> u64 {
        (1..=self.limit).rev().find(|cost| self.admits(takes, *cost, now)).unwrap_or(0)
    }

    /// Returns the first instant at which a cost is admitted, looking at each.
    fn first(&self, takes: &Takes, cost: u64, now: i64) -> i64 {
        (now..).find(|at| self.admits(takes, cost, *at)).unwrap()
    }
}

/// What may happen: time passes, and somebody takes; or the last takes are undone.
#[derive(Clone, Debug)]
enum Event {
    Take(i64, u64),
    Undo(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        8 => (0_i64..9, 1_u64..4).prop_map(|(pass, cost)| Event::Take(pass, cost)),
        2 => (0_i64..60, 1_u64..9).prop_map(|(pass, cost)| Event::Take(pass, cost)),
        2 => (0_usize..4).prop_map(Event::Undo),
    ];
    proptest::collection::vec(event, 1..60)
}

/// Lets the same happen to both, and asks both the same after each.
fn run<W: Window>(window: &W, model: &Model, start: i64, events: &[Event]) {
    let (mut state, mut takes, mut now) = (window.fresh(), Takes::new(), start);
    for event in events {
        match *event {
            Event::Take(pass, cost) => {
                now += pass;
                let at = Instant::from_nanos(now);
                let admits = model.admits(&takes, cost, now);
                assert_eq!(admits, window.take(&mut state, cost, at).is_some());
                if admits {
                    takes.push((now, cost));
                }
            }
            Event::Undo(back) => {
                let Some(index) = takes.len().checked_sub(back + 1) else { continue };
                let (at, cost) = takes[index];
                let mark = mark(Instant::from_nanos(at));
                if window.undo(&mut state, cost, mark, Instant::from_nanos(now)) == Undone::Wholly {
                    takes.remove(index);
                }
            }
        }
        compare(window, &state, model, &takes, now);
    }
}

fn compare<W: Window>(window: &W, state: &W::State, model: &Model, takes: &Takes, now: i64) {
    let at = Instant::from_nanos(now);
    let decision = window.decision(state, RetryAfter::Now, at);
    assert_eq!(model.left(takes, now), u64::from(decision.remaining));
    for cost in 1..=model.limit {
        let first = model.first(takes, cost, now);
        assert_eq!(Instant::from_nanos(first), window.turn(state, cost, at), "cost {cost}");
        let wait = Duration::from_nanos((first - now).unsigned_abs());
        assert_eq!(RetryAfter::wait(wait), window.retry_after(state, cost, at));
    }
    assert_eq!(RetryAfter::Never, window.retry_after(state, model.limit + 1, at));
    // As new is who lets all go at once; a nanosecond before that it does not.
    let fresh_at = window.fresh_at(state).max(at);
    assert_eq!(Instant::from_nanos(model.first(takes, model.limit, now)), fresh_at);
    assert_eq!(fresh_at.saturating_duration_since(at), decision.reset_after);
}

/// Returns the most that went in any stretch of `per`.
fn worst(takes: &Takes, per: i64) -> u64 {
    let from =
        |(start, _): &(i64, u64)| Model::sum(takes, |at| (*start..start + per).contains(&at));
    takes.iter().map(from).max().unwrap_or(0)
}

/// Returns all that goes where somebody hammers, resting for the lengths given.
fn hammer<W: Window>(window: &W, rests: &[i64]) -> Takes {
    let (mut state, mut takes, mut now) = (window.fresh(), Takes::new(), 0);
    for rest in rests {
        now += rest;
        while window.take(&mut state, 1, Instant::from_nanos(now)).is_some() {
            takes.push((now, 1));
        }
    }
    takes
}

fn fixed(limit: u32, per: i64, align: Align) -> FixedCount {
    FixedCount::new(limit, Duration::from_nanos(per.unsigned_abs()), align).unwrap()
}

fn counter(limit: u32, per: i64) -> SlidingCount {
    SlidingCount::new(limit, Duration::from_nanos(per.unsigned_abs())).unwrap()
}

fn log(limit: u32, per: i64) -> SlidingLog {
    SlidingLog::new(limit, Duration::from_nanos(per.unsigned_abs())).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fixed_windows_on_the_clock_count_as_a_list_does(
        limit in 1_u32..9, per in 1_i64..40, start in -100_i64..100, events in events(),
    ) {
        let model = Model { limit: limit.into(), per, admits: Model::on_the_clock };
        run(&fixed(limit, per, Align::Clock), &model, start, &events);
    }

    #[test]
    fn fixed_windows_from_first_use_count_as_a_list_does(
        limit in 1_u32..9, per in 1_i64..40, start in -100_i64..100, events in events(),
    ) {
        let model = Model { limit: limit.into(), per, admits: Model::by_first_use };
        run(&fixed(limit, per, Align::FirstUse), &model, start, &events);
    }

    #[test]
    fn the_counter_estimates_as_its_formula_does(
        limit in 1_u32..9, per in 1_i64..40, start in -100_i64..100, events in events(),
    ) {
        let model = Model { limit: limit.into(), per, admits: Model::estimated };
        run(&counter(limit, per), &model, start, &events);
    }

    #[test]
    fn the_log_counts_what_went_in_the_window(
        limit in 1_u32..9, per in 1_i64..40, start in -100_i64..100, events in events(),
    ) {
        let model = Model { limit: limit.into(), per, admits: Model::exact };
        run(&log(limit, per), &model, start, &events);
    }

    #[test]
    fn no_stretch_of_a_window_admits_more_than_is_said(
        limit in 1_u32..9, per in 1_i64..40, rests in proptest::collection::vec(0_i64..45, 1..80),
    ) {
        let most = u64::from(limit);
        prop_assert!(worst(&hammer(&fixed(limit, per, Align::Clock), &rests), per) <= 2 * most);
        prop_assert!(worst(&hammer(&fixed(limit, per, Align::FirstUse), &rests), per) <= 2 * most);
        prop_assert!(worst(&hammer(&counter(limit, per), &rests), per) < 2 * most);
        prop_assert!(worst(&hammer(&log(limit, per), &rests), per) <= most);
    }

    #[test]
    fn a_count_at_the_ends_of_time_and_of_numbers_panics_nowhere(
        limit in prop_oneof![Just(1_u32), Just(u32::MAX)],
        per in prop_oneof![Just(1_i64), Just(3_155_760_000_000_000_000)],
        now in prop_oneof![Just(-(i64::MAX / 2)), Just(0), Just(i64::MAX / 2)],
        costs in proptest::collection::vec(prop_oneof![Just(1_u64), Just(u64::from(u32::MAX)), Just(u64::MAX)], 1..6),
    ) {
        endure(&fixed(limit, per, Align::Clock), now, &costs);
        endure(&fixed(limit, per, Align::FirstUse), now, &costs);
        endure(&counter(limit, per), now, &costs);
        endure(&log(limit, per), now, &costs);
    }
}

/// Asks all there is to ask, and lets those wait who must.
fn endure<W: Window>(window: &W, now: i64, costs: &[u64]) {
    let (mut state, mut held, now) = (window.fresh(), window.held(), Instant::from_nanos(now));
    let mut at = now;
    for cost in costs {
        assert!(window.take(&mut held, *cost, now).is_none());
        window.take(&mut state, *cost, now);
        assert_eq!(
            window.serves(*cost),
            window.retry_after(&state, *cost, now) != RetryAfter::Never
        );
        window.decision(&state, RetryAfter::Now, now);
    }
    for cost in costs.iter().filter(|cost| window.serves(**cost)) {
        let due = window.turn(&state, *cost, at);
        assert!(due >= at);
        assert!(window.turn_behind(&state, *cost, u64::MAX / 2, at) >= due);
        assert!(window.put_many(&mut state.clone(), *cost, 1, at) == due);
        window.put(&mut state, *cost, due);
        at = due;
    }
}

/// Returns when many go of one cost, each as soon as it may: one after the other.
fn one_by_one<W: Window>(window: &W, state: &mut W::State, cost: u64, from: Instant) -> Instant {
    let due = window.turn(state, cost, from);
    window.put(state, cost, due);
    due
}

/// Many at one step go when each by itself does, behind whatever went before, and leave as much.
fn go_together<W: Window>(window: &W, before: &[(i64, u64)], cost: u64, count: u64) {
    let (mut facts, mut from) = (window.fresh(), 0);
    for (pass, cost) in before {
        from += pass;
        window.put(&mut facts, *cost, Instant::from_nanos(from));
    }
    let from = Instant::from_nanos(from);
    let (mut each, mut last) = (facts.clone(), from);
    for ahead in 0..count {
        last = one_by_one(window, &mut each, cost, last);
        assert_eq!(last, window.turn_behind(&facts, cost, ahead, from), "{ahead} ahead");
        let mut all = facts.clone();
        assert_eq!(last, window.put_many(&mut all, cost, ahead + 1, from));
        for cost in 1..=u64::from(window.capacity()) {
            assert_eq!(window.turn(&each, cost, last), window.turn(&all, cost, last), "{ahead}");
        }
        assert_eq!(window.fresh_at(&each), window.fresh_at(&all));
    }
}

fn before() -> impl Strategy<Value = Vec<(i64, u64)>> {
    proptest::collection::vec((0_i64..12, 1_u64..14), 0..9)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_go_at_one_step_as_one_by_one(
        limit in 1_u32..14, per in prop_oneof![1_i64..4, 4_i64..40], before in before(), cost in 1_u64..14,
    ) {
        let cost = cost.min(limit.into());
        go_together(&fixed(limit, per, Align::Clock), &before, cost, 60);
        go_together(&fixed(limit, per, Align::FirstUse), &before, cost, 60);
        go_together(&counter(limit, per), &before, cost, 60);
        go_together(&log(limit, per), &before, cost, 60);
    }
}

#[test]
fn the_worst_that_is_said_is_reached() {
    // All at the last moment of a window of the clock, and all that is let in after it.
    let rests: Vec<i64> = std::iter::once(99).chain(std::iter::repeat_n(1, 99)).collect();

    assert_eq!(20, worst(&hammer(&fixed(10, 100, Align::Clock), &rests), 100));
    assert_eq!(19, worst(&hammer(&counter(10, 100), &rests), 100));
    assert_eq!(10, worst(&hammer(&log(10, 100), &rests), 100));
}

#[test]
fn a_log_keeps_no_more_than_its_limit() {
    let (window, mut state) = (log(1000, 1_000_000), log(1000, 1_000_000).fresh());
    for now in 0..10_000 {
        window.take(&mut state, 1, Instant::from_nanos(now));
    }

    assert!(state.capacity() <= 1000, "{}", state.capacity());
}
