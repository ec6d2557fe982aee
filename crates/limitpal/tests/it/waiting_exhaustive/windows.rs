//! The same schedules for windows, held against lists that remember every take.

use std::time::Duration;

use limitpal::{Align, AnyLimiter, FixedWindow, MockClock, SlidingWindowCounter, SlidingWindowLog};

use super::explore::World;
use super::subject::{Ideal, Subject};
use super::{Action, Case, MIXED, Movable, ONES, Pollers, explore_both};

/// In nanoseconds, so few that each can be looked at.
const PER: i64 = 24;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    OnTheClock,
    FromFirstUse,
    Counter,
    Log,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    kind: Kind,
    limit: u32,
}

impl Subject for Window {
    type Model = List;

    fn limiter(&self, per_key: bool, clock: &MockClock) -> AnyLimiter {
        let (limit, per) = (self.limit, Duration::from_nanos(PER.unsigned_abs()));
        let fixed = |align| {
            let builder = FixedWindow::builder(limit, per).align(align).clock(clock);
            builder.per_key(per_key).build().unwrap().into()
        };
        match self.kind {
            Kind::OnTheClock => fixed(Align::Clock),
            Kind::FromFirstUse => fixed(Align::FirstUse),
            Kind::Counter => {
                let builder = SlidingWindowCounter::builder(limit, per).clock(clock);
                builder.per_key(per_key).build().unwrap().into()
            }
            Kind::Log => {
                let builder = SlidingWindowLog::builder(limit, per).clock(clock);
                builder.per_key(per_key).build().unwrap().into()
            }
        }
    }

    fn model(&self, now: i64) -> List {
        List { window: *self, now, entries: Vec::new() }
    }

    fn capacity(&self) -> u32 {
        self.limit
    }

    fn part(&self) -> i64 {
        PER * 2 / 5 + 1
    }

    /// A window that would have begun with one who has left begins with the next who comes.
    fn is_steady(&self) -> bool {
        self.kind != Kind::FromFirstUse
    }

    fn broken_window(&self, takes: &[(i64, u64)]) -> Option<String> {
        let limit = u64::from(self.limit);
        let most = match self.kind {
            Kind::OnTheClock | Kind::FromFirstUse => 2 * limit,
            Kind::Counter => 2 * limit - 1,
            Kind::Log => limit,
        };
        takes.iter().find_map(|(start, _)| {
            let sum = sum(takes.iter().copied(), |at| (*start..start + PER).contains(&at));
            (sum > most).then(|| format!("{sum} from {start} on: {takes:?}"))
        })
    }
}

/// One take, by somebody who waits for it or by a call that does not wait.
#[derive(Clone, Copy, Debug)]
struct Entry {
    who: Option<usize>,
    cost: u64,
    /// When it went, if it has.
    turn: Option<i64>,
}

/// All takes that went, and those who wait for theirs.
#[derive(Clone, Debug)]
struct List {
    window: Window,
    now: i64,
    entries: Vec<Entry>,
}

fn sum(takes: impl Iterator<Item = (i64, u64)>, counts: impl Fn(i64) -> bool) -> u64 {
    takes.filter(|(at, _)| counts(*at)).map(|(_, cost)| cost).sum()
}

impl List {
    fn takes(&self) -> impl Iterator<Item = (i64, u64)> {
        self.entries.iter().filter_map(|entry| Some((entry.turn?, entry.cost)))
    }

    /// Returns when the window begins that an instant lies in, where windows begin with a take.
    fn start(&self, at: i64) -> Option<i64> {
        let turns = self.takes().map(|(turn, _)| turn);
        let mut turns: Vec<_> = turns.filter(|turn| *turn <= at).collect();
        turns.sort_unstable();
        let mut start = None;
        for turn in turns {
            start = start.filter(|start| turn < start + PER).or(Some(turn));
        }
        start.filter(|start| at < start + PER)
    }

    /// Returns whether one more is let in at an instant.
    fn admits(&self, cost: u64, at: i64) -> bool {
        let (takes, window) = (self.takes(), at.div_euclid(PER));
        let limit = u64::from(self.window.limit);
        match self.window.kind {
            Kind::OnTheClock => sum(takes, |at| at.div_euclid(PER) == window) + cost <= limit,
            Kind::FromFirstUse => {
                let start = self.start(at).unwrap_or(i64::MAX);
                sum(takes, |at| at >= start) + cost <= limit
            }
            Kind::Counter => {
                let count = sum(takes, |at| at.div_euclid(PER) == window);
                let before = sum(self.takes(), |at| at.div_euclid(PER) == window - 1);
                let still = (PER - at.rem_euclid(PER)).unsigned_abs();
                before * still + (count + cost) * PER.unsigned_abs() <= limit * PER.unsigned_abs()
            }
            Kind::Log => sum(takes, |turn| turn > at - PER) + cost <= limit,
        }
    }

    fn pass_to_next_turn(&mut self, until: i64) -> bool {
        let Some(next) = self.entries.iter().position(|entry| entry.turn.is_none()) else {
            return false;
        };
        let cost = self.entries[next].cost;
        let turn = (self.now..=until).find(|at| self.admits(cost, *at));
        self.entries[next].turn = turn;
        self.now = turn.unwrap_or(self.now);
        turn.is_some()
    }

    /// Returns whether a take must stay: without it the window would have begun with another.
    fn is_kept(&self, who: usize) -> bool {
        let Some(turn) = self.turn(who) else { return false };
        let is_over = self.start(turn) != self.start(self.now) || self.start(self.now).is_none();
        let others = self.entries.iter().filter(|entry| entry.who != Some(who));
        let has_others = others.filter_map(|entry| entry.turn).any(|other| other >= turn);
        let begins = self.start(turn) == Some(turn) && has_others;
        self.window.kind == Kind::FromFirstUse && (is_over || begins)
    }
}

impl Ideal for List {
    fn pass(&mut self, until: i64) {
        while self.pass_to_next_turn(until) {}
        self.now = until;
    }

    fn join(&mut self, who: usize, cost: u64) {
        self.entries.push(Entry { who: Some(who), cost, turn: None });
        self.pass(self.now);
    }

    fn undo(&mut self, who: usize) {
        let is_kept = self.is_kept(who);
        let place = self.entries.iter().position(|entry| entry.who == Some(who));
        match place {
            Some(place) if is_kept => self.entries[place].who = None,
            Some(place) => drop(self.entries.remove(place)),
            None => {}
        }
        self.pass(self.now);
    }

    fn undo_at_least(&mut self, who: usize, _late: bool) {
        self.undo(who);
    }

    fn turn(&self, who: usize) -> Option<i64> {
        self.entries.iter().find(|entry| entry.who == Some(who))?.turn
    }

    fn allows(&self, cost: u64) -> bool {
        self.entries.iter().all(|entry| entry.turn.is_some()) && self.admits(cost, self.now)
    }

    fn take(&mut self, cost: u64) {
        self.entries.push(Entry { who: None, cost, turn: Some(self.now) });
    }

    fn fresh_at(mut self) -> i64 {
        while self.pass_to_next_turn(i64::MAX) {}
        let all = self.window.limit.into();
        (self.now..).find(|at| self.admits(all, *at)).expect("in the end nothing counts")
    }
}

/// Returns the schedules of four for a kind of window, of a limit and costs.
fn case(kind: Kind, limit: u32, costs: &'static [u64]) -> Case<Window> {
    Case {
        settings: Window { kind, limit },
        per_key: true,
        costs,
        taken: limit,
        before: 0,
        pollers: Pollers::Prompt,
        new_wakers: false,
        idle_polls: false,
    }
}

/// Runs the schedules of four for each kind of window, of a limit and costs.
fn explore_each(limits: &[(u32, &'static [u64])], change: impl Fn(Case<Window>) -> Case<Window>) {
    for kind in [Kind::OnTheClock, Kind::FromFirstUse, Kind::Counter, Kind::Log] {
        for (limit, costs) in limits.iter().copied() {
            explore_both(&change(case(kind, limit, costs)), 6);
        }
    }
}

#[test]
fn whoever_leaves_a_window_and_when_the_others_go_in_their_turn() {
    explore_each(&[(1, ONES), (3, ONES), (3, MIXED)], |case| case);
}

#[test]
fn who_leaves_a_window_after_its_turn_gives_back_what_still_counts() {
    let change = |case| Case { pollers: Pollers::Late, ..case };
    explore_each(&[(1, ONES), (3, MIXED)], change);
}

#[test]
fn of_many_wakers_of_one_who_waits_for_a_window_the_last_is_woken() {
    explore_each(&[(3, MIXED)], |case| Case { new_wakers: true, idle_polls: true, ..case });
}

/// The first leaves at the instant at which the third has gone, in a window of its own: what it
/// took counts no more, and stays. So long a schedule is not among those that a debug build walks.
#[test]
fn who_leaves_a_window_that_is_over_changes_nothing() {
    let case = Case { pollers: Pollers::Late, ..case(Kind::FromFirstUse, 3, MIXED) };
    let mut world = Movable::new(case);
    let arrivals = [Action::Arrive, Action::Jump, Action::Pass, Action::Arrive, Action::Arrive];
    for action in arrivals.into_iter().chain([Action::Jump, Action::Leave(0)]) {
        world.act(action);
    }
    world.finish();
}
