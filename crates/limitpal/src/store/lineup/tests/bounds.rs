//! However many wait, what one of them does takes a number of steps that grows with the logarithm.

use std::time::Duration;

use crate::algorithm::{Bucket, Pace};
use crate::rate::Rate;
use crate::store::crowd::Crowd;

const COSTS: &[u64] = &[1, 1, 2, 1, 3];

/// Whole and awkward rates, paces that round and that do not.
fn buckets() -> [Bucket; 4] {
    let bucket = |capacity, per_second, pace| {
        Bucket::new(capacity, Rate::per_second(per_second).unwrap(), pace).unwrap()
    };
    [
        bucket(1, 7.0, Pace::Burst),
        bucket(4, 3.0, Pace::Burst),
        bucket(4, 3.0, Pace::Even),
        bucket(4, 5.0, Pace::Even),
    ]
}

#[test]
fn what_one_of_many_does_takes_steps_like_the_logarithm_of_the_line() {
    for bucket in buckets() {
        for waiters in [1_000, 10_000, 100_000] {
            let mut crowd = Crowd::new(bucket, COSTS, waiters, false);
            crowd.live();
            crowd.check_each("a line", waiters);
        }
    }
}

#[test]
fn who_waits_in_several_lines_in_turn_takes_as_few() {
    for bucket in buckets() {
        let mut crowd = Crowd::new(bucket, COSTS, 10_000, true);
        crowd.live();
        crowd.check_each("tickets", 10_000);
    }
}

#[test]
fn a_crowd_that_leaves_at_once_takes_as_few_whatever_the_order() {
    let orders: [fn(&mut Crowd<Bucket>) -> usize; 3] =
        [|_| 0, |crowd| crowd.places.len() - 1, |crowd| crowd.random.usize(..crowd.places.len())];
    for bucket in buckets() {
        for (order, overdue) in [(0, 0), (0, 900), (1, 0), (1, 900), (2, 0), (2, 900)] {
            let mut crowd = Crowd::new(bucket, COSTS, 10_000, false);
            crowd.now = crowd.now + Duration::from_secs(overdue);
            while !crowd.places.is_empty() {
                let next = orders[order](&mut crowd);
                crowd.leave(next);
            }
            crowd.steps.drain(..20_000);
            crowd.check("leaving", 10_000);
        }
    }
}
