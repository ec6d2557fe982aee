//! Every schedule of up to four who want permits: come, polled, dropped where they stand, given
//! back, timed out, with the limit changed; each step held against an exact model.

mod model;
mod world;

use self::world::Gate;
use crate::waiting_exhaustive::explore::explore;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// The next one comes, and is polled.
    Arrive,
    /// One is polled, woken or not.
    Poll(usize),
    /// One is dropped where it waits.
    Leave(usize),
    /// One gives its permit back.
    Release(usize),
    /// Somebody asks who does not wait, and gives back at once what it gets.
    Try,
    /// Time passes until the next timeout.
    Jump,
    /// The limit becomes the other one.
    Change,
}

/// What the schedules are about.
#[derive(Clone, Copy, Debug)]
struct Case {
    limit: u32,
    /// What the limit changes to, and back from.
    other_limit: u32,
    per_key: bool,
    max_waiting: Option<u32>,
    /// What each asks for, in the order in which they come, and for how many seconds it waits.
    comers: &'static [(u32, Option<u64>)],
    /// How many have come when the schedule starts.
    before: usize,
    /// Whether each poll brings another waker.
    new_wakers: bool,
}

const ONES: &[(u32, Option<u64>)] = &[(1, None), (1, None), (1, None), (1, None)];
const MIXED: &[(u32, Option<u64>)] = &[(1, None), (3, None), (1, None), (2, None)];
const TIMED: &[(u32, Option<u64>)] = &[(1, None), (2, Some(1)), (1, Some(2)), (1, None)];

const PLAIN: Case = Case {
    limit: 1,
    other_limit: 1,
    per_key: true,
    max_waiting: None,
    comers: ONES,
    before: 0,
    new_wakers: false,
};

/// Explores a case from nobody there, and from everybody there, so that the schedules reach
/// further; one step more where there is optimisation.
fn explore_both(case: Case, length: usize) {
    let length = length + usize::from(!cfg!(debug_assertions));
    for (before, length) in [(0, length), (case.comers.len(), length - 1)] {
        let case = Case { before, ..case };
        let schedules = explore(&case, length, || Gate::new(case));
        assert!(schedules > 50, "{schedules} schedules are not all");
    }
}

#[test]
fn whoever_leaves_and_when_permits_go_to_the_next_in_turn() {
    explore_both(PLAIN, 7);
    explore_both(Case { per_key: false, limit: 2, other_limit: 2, ..PLAIN }, 6);
}

#[test]
fn one_who_asks_for_many_is_not_overtaken() {
    explore_both(Case { limit: 3, other_limit: 3, comers: MIXED, ..PLAIN }, 6);
}

#[test]
fn whoever_has_waited_long_enough_leaves_nothing_behind() {
    explore_both(Case { limit: 2, other_limit: 2, comers: TIMED, ..PLAIN }, 6);
}

#[test]
fn a_limit_that_changes_lets_in_more_or_none_and_turns_away_who_is_too_many() {
    explore_both(Case { limit: 3, other_limit: 1, comers: MIXED, ..PLAIN }, 6);
    explore_both(Case { limit: 2, other_limit: 4, comers: TIMED, ..PLAIN }, 6);
}

#[test]
fn of_many_wakers_the_last_is_woken_and_none_is_kept() {
    explore_both(Case { limit: 2, other_limit: 1, comers: TIMED, new_wakers: true, ..PLAIN }, 6);
}

#[test]
fn so_many_wait_and_no_more() {
    explore_both(Case { max_waiting: Some(1), ..PLAIN }, 6);
    explore_both(
        Case { limit: 3, other_limit: 1, max_waiting: Some(2), comers: MIXED, ..PLAIN },
        6,
    );
}
