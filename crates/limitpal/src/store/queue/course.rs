//! What will have gone when it is somebody's turn: the facts, run by run of those ahead.

use std::borrow::Cow;

use super::Queue;
use crate::algorithm::Window;
use crate::time::Instant;
use crate::waiting::{Distance, Spot};

/// What will have gone once all have who stand ahead of the first of a run.
#[derive(Clone, Debug)]
pub(super) struct Plan<S> {
    /// The first of the run; nobody if that is whoever comes next.
    head: Option<Spot>,
    state: S,
    /// When the last of them goes.
    last: Instant,
}

impl<S> Plan<S> {
    pub(super) fn begins_at(&self, head: Option<Spot>) -> bool {
        self.head == head
    }

    /// Somebody has come behind all.
    pub(super) fn goes_on(&mut self, spot: Spot) {
        self.head.get_or_insert(spot);
    }
}

/// What will have gone when it is somebody's turn.
pub(super) struct Course<'q, S: Clone> {
    /// What will have gone when its run begins.
    state: Cow<'q, S>,
    /// Nobody of the run goes before that.
    from: Instant,
    /// How many permits each of the run takes.
    cost: u64,
    /// How many of the run stand ahead of it.
    ahead: u64,
}

impl<S: Clone> Course<'_, S> {
    /// Returns when one goes who stands there, and not before `now`; who waits ahead of it goes
    /// later than that.
    pub(super) fn turn<W: Window<State = S>>(self, bucket: &W, cost: u64, now: Instant) -> Instant {
        if self.ahead > 0 && cost == self.cost {
            return bucket.turn_behind(&self.state, cost, self.ahead, self.from);
        }
        let (state, last) = self.end(bucket);
        bucket.turn(&state, cost, last.max(now))
    }
}

impl<'q, S: Clone> Course<'q, S> {
    /// Returns what has gone by then, and when the last of it goes.
    pub(super) fn end<W: Window<State = S>>(self, bucket: &W) -> (Cow<'q, S>, Instant) {
        let Self { mut state, mut from, cost, ahead } = self;
        if ahead > 0 {
            from = bucket.put_many(state.to_mut(), cost, ahead, from);
        }
        (state, from)
    }
}

impl<W: Window> Queue<W> {
    /// Returns how many stand ahead of one, and how many runs end there.
    fn stands(&self, spot: Option<Spot>) -> Distance {
        let row = self.line.row();
        let Some(spot) = spot else {
            // Nobody is of one run with a sleeper that cannot be moved.
            let is_apart = row.last().is_some_and(|last| row.get(last).is_fixed());
            return row.end() + Distance { whole: 0, part: is_apart.into() };
        };
        row.ahead(spot)
    }

    /// Returns the first of the next run.
    fn next_head(&self, head: Spot) -> Option<Spot> {
        let row = self.line.row();
        if row.distance(head).part > 0 {
            return row.next(head);
        }
        let run = row.ahead(head).part;
        row.first_where(|_, stands| stands.part > run)
    }

    /// Goes on by one run.
    fn pass_run(&self, bucket: &W, plan: &mut Plan<W::State>) {
        let Some(head) = plan.head else { return };
        let (next, waiter) = (self.next_head(head), self.line.row().get(head));
        let cost = waiter.cost();
        plan.last = if waiter.is_fixed() {
            let due = waiter.no_earlier(bucket.turn(&plan.state, cost, plan.last));
            bucket.put(&mut plan.state, cost, due);
            due
        } else {
            let count = (self.stands(next) - self.stands(Some(head))).whole.unsigned_abs();
            bucket.put_many(&mut plan.state, cost, count, plan.last)
        };
        plan.head = next;
    }

    /// Works out what will have gone when it is somebody's turn, or that of one behind all.
    pub(super) fn course(&mut self, bucket: &W, to: Option<Spot>) -> Course<'_, W::State> {
        let (stands, from) = (self.stands(to), self.gone.max(self.moved));
        let nobody = Course { state: Cow::Borrowed(&self.facts), from, cost: 1, ahead: 0 };
        let Some(first) = self.unsettled else { return nobody };
        let begins = self.stands(Some(first));
        if begins.part == stands.part {
            let cost = self.line.row().get(first).cost();
            let ahead = (stands - begins).whole.unsigned_abs();
            return Course { state: Cow::Borrowed(&self.facts), from, cost, ahead };
        }
        let is_ahead = |plan: &Plan<_>| self.stands(plan.head).whole > stands.whole;
        let is_beside = self.plan.as_ref().is_some_and(is_ahead);
        let known = if is_beside { None } else { self.plan.take() };
        let start = || Plan { head: Some(first), state: self.facts.clone(), last: from };
        let mut plan = known.unwrap_or_else(start);
        while self.stands(plan.head).part < stands.part {
            self.pass_run(bucket, &mut plan);
        }
        let Plan { head, last: from, .. } = plan;
        let cost = head.map_or(1, |head| self.line.row().get(head).cost());
        let ahead = (stands - self.stands(head)).whole.unsigned_abs();
        let state = if is_beside {
            Cow::Owned(plan.state)
        } else {
            Cow::Borrowed(&self.plan.insert(plan).state)
        };
        Course { state, from, cost, ahead }
    }
}
