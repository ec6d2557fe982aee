//! A waiter dropped at any poll point: every schedule of four of them, up to a length.
//!
//! Each schedule is run from its start, and its end is drained as an executor would; the model
//! beside it says who may go, when, and what is left.

pub(crate) mod explore;
mod fixed;
mod model;
mod subject;
mod windows;
mod world;

use self::explore::explore;
use self::subject::Subject;
use self::world::Movable;
use crate::models::{ExactRate, Kind, Settings};

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// The next one comes, and is polled.
    Arrive,
    /// One is polled, woken or not.
    Poll(usize),
    /// One is dropped where it stands.
    Leave(usize),
    /// Time passes until the next sleep ends.
    Jump,
    /// Time passes a little.
    Pass,
    /// Somebody asks who does not wait.
    Allow,
}

/// When a woken waiter is polled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pollers {
    /// Before time goes on: as an executor with nothing else to do.
    Prompt,
    /// When the schedule says.
    Late,
}

/// What the schedules are about.
#[derive(Clone, Copy, Debug)]
struct Case<S = Settings> {
    settings: S,
    /// Whether each key has a bucket of its own.
    per_key: bool,
    /// What each takes, in the order in which they come.
    costs: &'static [u64],
    /// Permits taken before anybody comes.
    taken: u32,
    /// How many have come when the schedule starts.
    before: usize,
    pollers: Pollers,
    /// Whether each poll brings another waker.
    new_wakers: bool,
    /// Whether even those are polled whom nothing has touched since.
    idle_polls: bool,
}

const ONES: &[u64] = &[1, 1, 1, 1];
const MIXED: &[u64] = &[2, 1, 3, 1];

const THIRDS: (f64, i128) = (3.0, 3);

/// A bucket of thirds of a nanosecond, and the four who come for it.
fn case(kind: Kind, capacity: u32, costs: &'static [u64]) -> Case {
    let (per_second, count) = THIRDS;
    let settings = Settings::new(kind, capacity, ExactRate::new(per_second, count, 1));
    // A token bucket makes one wait once it is empty, a leaky one at once.
    let taken = if kind == Kind::Token { capacity } else { 1 };
    let (before, pollers, new_wakers, idle_polls) = (0, Pollers::Prompt, false, false);
    Case { settings, per_key: true, costs, taken, before, pollers, new_wakers, idle_polls }
}

/// Buckets of both kinds, small and larger, for each key and for everybody.
fn cases(pollers: Pollers) -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [Kind::Token, Kind::Leaky] {
        for (capacity, costs) in [(1, ONES), (3, ONES), (3, MIXED)] {
            let thirds = Case { pollers, ..case(kind, capacity, costs) };
            let rate = ExactRate::new(5.0, 5, 1);
            let settings = Settings { rate, ..thirds.settings };
            let whole = Case { settings, per_key: false, ..thirds };
            cases.extend([thirds, whole]);
        }
    }
    cases
}

/// Returns a length that there is no time for without optimisation.
fn longer_in_release(length: usize) -> usize {
    length + usize::from(!cfg!(debug_assertions))
}

/// Explores a case from an empty line and from a full one. A full line has more to choose from.
fn explore_both<S: Subject>(case: &Case<S>, length: usize) {
    let length = longer_in_release(length);
    for (before, length) in [(0, length), (4, length - 2)] {
        let case = Case { before, ..*case };
        let schedules = explore(&case, length, || Movable::new(case));
        assert!(schedules > 1000, "{schedules} schedules are not all");
    }
}

#[test]
fn whoever_leaves_and_when_the_others_go_in_their_turn() {
    cases(Pollers::Prompt).iter().for_each(|case| explore_both(case, 6));
}

#[test]
fn who_leaves_after_its_turn_gives_back_at_most_what_is_left() {
    cases(Pollers::Late).iter().for_each(|case| explore_both(case, 6));
}

#[test]
fn a_longer_schedule_brings_nothing_new() {
    explore_both(&case(Kind::Token, 3, MIXED), 7);
    for (kind, costs) in [(Kind::Token, MIXED), (Kind::Leaky, ONES)] {
        explore_both(&Case { pollers: Pollers::Late, ..case(kind, 3, costs) }, 7);
    }
}

#[test]
fn of_many_wakers_the_last_is_woken() {
    for pollers in [Pollers::Prompt, Pollers::Late] {
        let case = Case { pollers, new_wakers: true, ..case(Kind::Token, 3, MIXED) };
        explore_both(&case, 6);
    }
}

#[test]
fn polls_that_nothing_has_asked_for_change_nothing() {
    for (kind, new_wakers) in [(Kind::Token, false), (Kind::Leaky, true)] {
        let case = Case { new_wakers, idle_polls: true, ..case(kind, 3, MIXED) };
        explore_both(&case, 6);
    }
}
