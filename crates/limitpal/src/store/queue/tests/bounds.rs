//! However many wait, what one of them does takes a number of steps that grows with the logarithm,
//! where they wait for the same number of permits; else with the number of runs of such.

use std::time::Duration;

use crate::algorithm::{Align, FixedCount, SlidingCount, SlidingLog};
use crate::store::crowd::Crowd;
use crate::store::stored::Stored;

const LIMIT: u32 = 5;
const PER: Duration = Duration::from_secs(1);

/// Lets a crowd live that is all of one cost, and holds each thing done to the logarithm.
fn live<A: Stored + Clone>(window: &A, costs: &'static [u64], ticketed: bool) {
    for waiters in [1_000, 10_000, 100_000] {
        let mut crowd = Crowd::new(window.clone(), costs, waiters, ticketed);
        crowd.live();
        crowd.check_each("a line", waiters);
    }
}

/// Lets a crowd leave in some order, whatever it waits for.
fn leave<A: Stored + Clone>(window: &A, costs: &'static [u64]) {
    for (order, overdue) in [(0, 0), (1, 0), (1, 900), (2, 900)] {
        let mut crowd = Crowd::new(window.clone(), costs, 10_000, false);
        crowd.check("coming", 10_000);
        crowd.steps.clear();
        crowd.now = crowd.now + Duration::from_secs(overdue);
        while !crowd.places.is_empty() {
            let last = crowd.places.len() - 1;
            let next = [0, last, crowd.random.usize(..=last)][order];
            crowd.leave(next);
        }
        crowd.check("leaving", 10_000);
    }
}

fn fixed(align: Align) -> FixedCount {
    FixedCount::new(LIMIT, PER, align).unwrap()
}

fn counter() -> SlidingCount {
    SlidingCount::new(LIMIT, PER).unwrap()
}

fn log() -> SlidingLog {
    SlidingLog::new(LIMIT, PER).unwrap()
}

#[test]
fn what_one_of_many_does_takes_steps_like_the_logarithm_of_the_line() {
    for costs in [&[1], &[3]] {
        live(&fixed(Align::Clock), costs, false);
        live(&fixed(Align::FirstUse), costs, false);
        live(&counter(), costs, false);
        live(&log(), costs, false);
    }
}

#[test]
fn who_waits_in_several_lines_in_turn_takes_as_few() {
    live(&fixed(Align::Clock), &[1], true);
    live(&counter(), &[1], true);
    live(&log(), &[1], true);
}

#[test]
fn who_comes_and_a_crowd_that_leaves_takes_as_few_whatever_the_costs() {
    for costs in [&[1, 1, 4], &[1, 2, 3]] {
        leave(&fixed(Align::Clock), costs);
        leave(&fixed(Align::FirstUse), costs);
        leave(&counter(), costs);
        leave(&log(), costs);
    }
}
