//! Those who wait for one key whose takes are counted by when they went, in order of arrival.
//!
//! What went are the facts. What will have gone once those who wait have, in their order, follows
//! from them: each goes as soon as the count then admits it, and not before the one ahead. Those
//! who wait for the same number of permits are a run, however many they are; when one of them goes
//! is worked out in one step. So whoever leaves has nobody else's turn worked out anew.

mod course;
#[cfg(all(test, not(loom)))]
mod tests;

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::task::Waker;

use self::course::Plan;
use super::answer::Request;
use crate::algorithm::{Mark, Undone, Window, mark};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;
use crate::waiting::{Distance, Line, Spot, Waiter};

/// Those who wait for one key, and what went before them.
#[derive(Debug)]
pub struct Queue<W: Window> {
    /// Distances count people, and how often one run ends and another begins.
    line: Line<Instant>,
    /// What went; those who wait and are due have gone as well.
    facts: W::State,
    /// When the last of the facts went.
    gone: Instant,
    /// The first who waits and is not due, as far as is known.
    unsettled: Option<Spot>,
    /// When somebody last left or went early: nobody moved up to before that, nor to before the key
    /// is open.
    moved: Instant,
    /// How far it was worked out who goes when, last time somebody behind several runs asked.
    plan: Option<Plan<W::State>>,
    /// Where the takes lie of those who are due, where that is more than when they were due.
    marks: BTreeMap<NonZeroU64, Mark>,
}

/// Where one more would stand, and when it goes.
#[derive(Clone, Copy)]
pub(super) struct Stand {
    /// The first of those who give way to it.
    junior: Option<Spot>,
    pub(super) due: Instant,
}

/// One who is turned away, and when its turn would come.
pub(super) type TurnedAway = (NonZeroU64, Instant, Option<Waker>);

impl<W: Window> Queue<W> {
    /// Makes an empty one, from which nobody goes before `moved`.
    pub(super) fn new(facts: W::State, moved: Instant) -> Self {
        let (gone, marks) = (Instant::MIN, BTreeMap::new());
        Self { line: Line::new(), facts, gone, unsettled: None, moved, plan: None, marks }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.row().is_empty()
    }

    pub(super) fn facts(&self) -> &W::State {
        &self.facts
    }

    pub(super) fn into_facts(self) -> W::State {
        self.facts
    }

    pub(super) fn find(&self, name: NonZeroU64) -> Option<Spot> {
        self.line.row().find(name)
    }

    pub(super) fn waiter_mut(&mut self, spot: Spot) -> &mut Waiter {
        self.line.waiter_mut(spot)
    }

    /// Makes facts of those who are due.
    pub(super) fn settle(&mut self, bucket: &W, now: Instant) {
        while let Some(spot) = self.unsettled {
            let waiter = self.line.row().get(spot);
            let due = bucket.turn(&self.facts, waiter.cost(), self.gone.max(self.moved));
            let (cost, due) = (waiter.cost(), waiter.no_earlier(due));
            if due > now {
                return;
            }
            self.waiter_mut(spot).settle(Some(due));
            self.fact(bucket, spot, cost, due);
            self.gone = due;
            self.unsettled = self.line.row().next(spot);
            // Behind all who have gone, the facts go on without the plan.
            let is_past = |plan: &Plan<_>| plan.begins_at(Some(spot)) || self.unsettled.is_none();
            if self.plan.as_ref().is_some_and(is_past) {
                self.plan = None;
            }
        }
    }

    /// Counts one who is due among the facts.
    fn fact(&mut self, bucket: &W, spot: Spot, cost: u64, due: Instant) {
        let mark = bucket.put(&mut self.facts, cost, due);
        if mark.before.is_some() {
            self.marks.insert(self.line.row().name(spot), mark);
        }
    }

    /// Returns when one who waits goes.
    pub(super) fn due(&mut self, bucket: &W, spot: Spot) -> Instant {
        let waiter = self.line.row().get(spot);
        if let Some(due) = waiter.settled() {
            return due;
        }
        let cost = waiter.cost();
        let due = self.course(bucket, Some(spot)).turn(bucket, cost, Instant::MIN);
        self.line.row().get(spot).no_earlier(due)
    }

    /// Takes for one who does not wait, if nobody waits who is not due.
    pub(super) fn take(&mut self, bucket: &W, cost: u64, now: Instant) -> Option<Mark> {
        self.settle(bucket, now);
        if self.unsettled.is_some() {
            return None;
        }
        let mark = bucket.take(&mut self.facts, cost, now)?;
        self.gone = now;
        Some(mark)
    }

    /// Returns when one who does not wait may take.
    pub(super) fn retry_after(&mut self, bucket: &W, cost: u64, now: Instant) -> RetryAfter {
        if !bucket.serves(cost) {
            return RetryAfter::Never;
        }
        self.settle(bucket, now);
        let due = self.course(bucket, None).turn(bucket, cost, now);
        RetryAfter::wait(due.saturating_duration_since(now))
    }

    /// Says how things stand: nothing is left while somebody waits who is not due.
    pub(super) fn decision(&mut self, bucket: &W, answer: RetryAfter, now: Instant) -> Decision {
        self.settle(bucket, now);
        let (state, last) = self.course(bucket, None).end(bucket);
        let decision = bucket.decision(&state, answer, last.max(now));
        let full_at = bucket.full_at(&state).max(last);
        let reset_after = full_at.saturating_duration_since(now);
        let remaining = if last > now { 0 } else { decision.remaining };
        Decision { remaining, reset_after, ..decision }
    }

    /// Finds where one more stands: behind all, or before those who came later and give way.
    pub(super) fn stand(&mut self, bucket: &W, request: Request, now: Instant) -> Stand {
        self.settle(bucket, now);
        let junior = request.ticket.and_then(|ticket| self.line.juniors(ticket));
        let is_due = |spot: Spot| self.line.row().get(spot).settled().is_some();
        // Who is due has gone, and gives way to nobody.
        let junior = junior.and_then(|spot| if is_due(spot) { self.unsettled } else { Some(spot) });
        Stand { junior, due: self.course(bucket, junior).turn(bucket, request.cost, now) }
    }

    /// Counts one who goes at once from where it stands.
    pub(super) fn pass(&mut self, bucket: &W, cost: u64, due: Instant) -> Mark {
        let mark = bucket.put(&mut self.facts, cost, due);
        self.gone = due;
        self.plan = None;
        mark
    }

    /// Lets one in to wait where it stands; returns what it is called.
    pub(super) fn join(&mut self, waiter: Waiter, number: u32, stand: Stand) -> NonZeroU64 {
        let junior = stand.junior;
        let spot = self.line.join(waiter, number, junior);
        if self.unsettled == junior {
            self.unsettled = Some(spot);
        }
        match &mut self.plan {
            Some(plan) if junior.is_none() => plan.goes_on(spot),
            plan => *plan = None,
        }
        self.measure(Some(spot));
        self.measure(self.line.row().previous(spot));
        self.line.row().name(spot)
    }

    /// Measures how far one stands before the next.
    fn measure(&mut self, spot: Option<Spot>) {
        let Some(spot) = spot else { return };
        let row = self.line.row();
        let is_last = row.next(spot).is_some_and(|next| !row.get(spot).is_like(row.get(next)));
        self.line.set_distance(spot, Distance { whole: 1, part: is_last.into() });
    }

    /// Takes one out, wherever it stands; returns where its take lies if it was due.
    fn remove(&mut self, spot: Spot) -> (Waiter, Option<Mark>) {
        let row = self.line.row();
        let (previous, next, own) = (row.previous(spot), row.next(spot), row.name(spot));
        if self.unsettled == Some(spot) {
            self.unsettled = next;
        }
        let waiter = self.line.remove(spot);
        self.measure(previous);
        let marked = waiter.settled().map(|due| self.marks.remove(&own).unwrap_or(mark(due)));
        (waiter, marked)
    }

    /// Lets one go; returns it, and where its take lies. Who goes early counts at once.
    pub(super) fn go(&mut self, bucket: &W, spot: Spot, now: Instant) -> (Waiter, Mark) {
        self.settle(bucket, now);
        let (waiter, marked) = self.remove(spot);
        let marked = marked.unwrap_or_else(|| {
            let due = self.gone.max(now);
            let early = bucket.put(&mut self.facts, waiter.cost(), due);
            self.gone = due;
            self.move_up(now);
            early
        });
        (waiter, marked)
    }

    /// Lets one leave: what it would have taken is there for those behind it. As `undo` if it was
    /// due.
    pub(super) fn leave(
        &mut self,
        bucket: &W,
        spot: Spot,
        now: Instant,
    ) -> (Waiter, Option<Instant>) {
        self.settle(bucket, now);
        let (waiter, marked) = self.remove(spot);
        let Some(mark) = marked else {
            self.move_up(now);
            return (waiter, None);
        };
        let void = self.undo(bucket, waiter.cost(), mark, now);
        (waiter, void)
    }

    /// Takes a take out of the facts again, if it still counts. Where other takes no longer lie
    /// where they were told by that, returns until when they could have given something back.
    pub(super) fn undo(
        &mut self,
        bucket: &W,
        cost: u64,
        mark: Mark,
        now: Instant,
    ) -> Option<Instant> {
        self.settle(bucket, now);
        // Of a window nothing is ever void, and nobody's turn is worked out.
        let fresh_at = mark.before.map(|_| self.fresh_at(bucket));
        let undone = bucket.undo(&mut self.facts, cost, mark, now);
        if undone == Undone::Not {
            return None;
        }
        self.move_up(now);
        if undone == Undone::Wholly {
            return None;
        }
        self.marks.clear();
        fresh_at
    }

    /// Changes what follows from the facts; says whether that moves those who are not due.
    pub(super) fn change(
        &mut self,
        bucket: &W,
        now: Instant,
        change: impl FnOnce(&mut W::State) -> bool,
    ) -> bool {
        self.settle(bucket, now);
        let moves = change(&mut self.facts);
        if moves {
            self.move_up(now);
        }
        moves
    }

    fn move_up(&mut self, now: Instant) {
        self.moved = self.moved.max(now);
        self.plan = None;
    }

    /// Plans all who are not due by other settings, from another state, none before `from`. Those
    /// who would go too late or never leave: returns who, and when their turn would come.
    pub(super) fn replan(&mut self, bucket: &W, facts: W::State, from: Instant) -> Vec<TurnedAway> {
        (self.facts, self.moved, self.plan) = (facts, from, None);
        let (mut state, mut last) = (self.facts.clone(), self.gone.max(from));
        let (mut next, mut turned_away) = (self.unsettled, Vec::new());
        while let Some(spot) = next {
            next = self.line.row().next(spot);
            let waiter = self.line.row().get(spot);
            let (cost, until) = (waiter.cost(), waiter.until);
            let due = match bucket.serves(cost) {
                true => waiter.no_earlier(bucket.turn(&state, cost, last)),
                false => Instant::MAX,
            };
            if due > until || due == Instant::MAX {
                let name = self.line.row().name(spot);
                turned_away.push((name, due, self.remove(spot).0.waker));
                continue;
            }
            self.waiter_mut(spot).is_pushed = true;
            bucket.put(&mut state, cost, due);
            last = due;
        }
        turned_away
    }

    /// Forgets where the takes of those lie who are due: they cannot be undone.
    pub(super) fn forget_marks(&mut self) {
        self.marks.clear();
    }

    /// Takes so much out of the facts again, the latest first.
    pub(super) fn undo_last(&mut self, bucket: &W, cost: u64, now: Instant) {
        self.settle(bucket, now);
        bucket.undo_last(&mut self.facts, cost, now);
        self.move_up(now);
    }

    /// Lets all go in their order as if nothing had gone before; who was due stays so.
    pub(super) fn start_over(&mut self, bucket: &W, now: Instant) {
        self.settle(bucket, now);
        self.facts = bucket.fresh();
        let mut next = self.line.row().first();
        while let Some(spot) = next.filter(|spot| Some(*spot) != self.unsettled) {
            let waiter = self.line.waiter_mut(spot);
            waiter.settle(Some(now));
            let cost = waiter.cost();
            self.fact(bucket, spot, cost, now);
            next = self.line.row().next(spot);
        }
        (self.gone, self.moved, self.plan) = (now, now, None);
    }

    /// Returns from when on it will be as new.
    pub(super) fn fresh_at(&mut self, bucket: &W) -> Instant {
        bucket.fresh_at(&self.course(bucket, None).end(bucket).0)
    }

    /// Returns the waker of the first in line if it sleeps longer than it has to.
    #[must_use = "wake it once the lock is released"]
    pub(super) fn oversleeper(&mut self, bucket: &W) -> Option<Waker> {
        let first = self.line.row().first()?;
        let due = self.due(bucket, first);
        self.line.oversleeper(first, due)
    }
}
