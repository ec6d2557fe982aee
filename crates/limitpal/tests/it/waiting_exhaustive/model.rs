//! The line as it should be: its whole history, replayed in whole numbers.
//!
//! It knows nothing of levels. A token bucket is tokens that trickle in and a line whose head goes
//! as soon as there are enough; a leaky bucket is a queue that drains one permit after another.
//! One who goes does so at a whole nanosecond, and is counted from there.

use super::subject::Ideal;
use crate::models::{Kind, Settings};

/// One take, by somebody who waits for it or by a call that does not wait.
#[derive(Clone, Copy, Debug)]
struct Entry {
    who: Option<usize>,
    cost: u64,
    /// When it went, if it has; for who does not wait, when it drains at the earliest.
    turn: Option<i64>,
}

/// One bucket and its line, first come first.
#[derive(Clone, Debug)]
pub(super) struct Model {
    settings: Settings,
    now: i64,
    entries: Vec<Entry>,
}

impl Model {
    pub(super) fn new(settings: Settings, now: i64) -> Self {
        Self { settings, now, entries: Vec::new() }
    }

    /// Returns when somebody's turn comes, if nobody leaves.
    pub(super) fn turn_to_come(mut self, who: usize) -> i64 {
        while self.pass_to_next_turn(i64::MAX) {}
        self.turn(who).expect("the turn of all comes in the end")
    }

    fn pass_to_next_turn(&mut self, until: i64) -> bool {
        let Some(next) = self.entries.iter().position(|entry| entry.turn.is_none()) else {
            return false;
        };
        let turn = self.turn_of(next);
        if turn > until {
            return false;
        }
        self.entries[next].turn = Some(turn);
        self.now = turn;
        true
    }

    /// Returns when the first of those who wait goes.
    fn turn_of(&self, first: usize) -> i64 {
        match self.settings.kind {
            Kind::Token => {
                let missing = self.permits(self.entries[first].cost) - self.tokens();
                self.now + self.nanos_up(missing.max(0))
            }
            Kind::Leaky => self.nanos_up(self.drained(first)).max(self.now),
        }
    }

    /// Returns the tokens there are now: all that has trickled in, less what was taken.
    fn tokens(&self) -> i128 {
        let mut takes: Vec<_> =
            self.entries.iter().filter_map(|entry| Some((entry.turn?, entry.cost))).collect();
        takes.sort_unstable();
        let (mut held, mut at) = (self.whole(), i64::MIN / 4);
        for (time, cost) in takes.into_iter().chain([(self.now, 0)]) {
            held = (held + self.units(time - at)).min(self.whole()) - self.permits(cost);
            at = time;
        }
        held
    }

    /// Returns when the first `count` in the queue have drained, in units.
    fn drained(&self, count: usize) -> i128 {
        let mut drained = self.units(i64::MIN / 4);
        for entry in &self.entries[..count] {
            let start = match entry.turn {
                Some(turn) => self.units(turn),
                None => self.units(self.nanos_up(drained).max(self.now)),
            };
            drained = drained.max(start) + self.permits(entry.cost);
        }
        drained
    }

    /// Returns what drains, or trickles in, in so many nanoseconds.
    fn units(&self, nanos: i64) -> i128 {
        i128::from(nanos) * self.settings.rate.count
    }

    fn permits(&self, cost: u64) -> i128 {
        i128::from(cost) * self.settings.rate.nanos
    }

    fn whole(&self) -> i128 {
        self.permits(self.settings.capacity.into())
    }

    fn nanos_up(&self, units: i128) -> i64 {
        let count = self.settings.rate.count;
        (units.div_euclid(count) + i128::from(units.rem_euclid(count) > 0)).try_into().unwrap()
    }
}

impl Ideal for Model {
    fn pass(&mut self, until: i64) {
        while self.pass_to_next_turn(until) {}
        self.now = until;
    }

    fn join(&mut self, who: usize, cost: u64) {
        self.entries.push(Entry { who: Some(who), cost, turn: None });
        self.pass(self.now);
    }

    fn undo(&mut self, who: usize) {
        self.entries.retain(|entry| entry.who != Some(who));
        self.pass(self.now);
    }

    /// What was let in behind it drains from now on, not from up to a nanosecond ago.
    fn undo_at_least(&mut self, who: usize, late: bool) {
        if late {
            return;
        }
        let behind = self.entries.iter_mut().skip_while(|entry| entry.who != Some(who));
        behind.filter(|entry| entry.who.is_none()).for_each(|entry| entry.turn = Some(self.now));
        self.undo(who);
    }

    fn turn(&self, who: usize) -> Option<i64> {
        self.entries.iter().find(|entry| entry.who == Some(who))?.turn
    }

    fn allows(&self, cost: u64) -> bool {
        match self.settings.kind {
            Kind::Token => {
                let nobody_waits = self.entries.iter().all(|entry| entry.turn.is_some());
                nobody_waits && self.tokens() >= self.permits(cost)
            }
            Kind::Leaky => {
                let backlog = (self.drained(self.entries.len()) - self.units(self.now)).max(0);
                backlog + self.permits(cost) <= self.whole()
            }
        }
    }

    fn take(&mut self, cost: u64) {
        self.entries.push(Entry { who: None, cost, turn: Some(self.now) });
    }

    fn fresh_at(mut self) -> i64 {
        while self.pass_to_next_turn(i64::MAX) {}
        let missing = match self.settings.kind {
            Kind::Token => self.whole() - self.tokens(),
            Kind::Leaky => self.drained(self.entries.len()) - self.units(self.now),
        };
        self.now + self.nanos_up(missing.max(0))
    }
}
