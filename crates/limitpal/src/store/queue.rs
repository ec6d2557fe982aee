//! Those who wait for one key whose takes are counted by when they went, in order of arrival.
//!
//! What went are the facts. What will have gone once those who wait have, in their order, is
//! planned from them: each goes as soon as the plan admits it, and not before the one ahead. When
//! somebody leaves, the plan is dropped, and made again as far as somebody asks.

#[cfg(all(test, not(loom)))]
mod tests;

use std::num::NonZeroU64;
use std::task::Waker;

use super::answer::Request;
use crate::algorithm::Window;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::time::Instant;
use crate::waiting::{Line, Spot, Waiter};

/// Those who wait for one key, and what went before them.
#[derive(Debug)]
pub struct Queue<W: Window> {
    line: Line<Instant>,
    /// What went; those who wait and are due have gone as well.
    facts: W::State,
    /// When the last of the facts went.
    gone: Instant,
    /// What will have gone when all ahead of `unplanned` have; nothing if that is no more than the
    /// facts.
    plan: Option<W::State>,
    /// When the last of the plan goes.
    last: Instant,
    /// The first who waits and is not due, as far as is known.
    unsettled: Option<Spot>,
    /// The first of whom is not known when it goes.
    unplanned: Option<Spot>,
    /// When somebody last left or went early: nobody moved up to before that.
    moved: Instant,
}

/// Where one more would stand, and when it goes.
#[derive(Clone, Copy)]
pub(super) struct Stand {
    /// The first of those who give way to it.
    junior: Option<Spot>,
    pub(super) due: Instant,
}

impl<W: Window> Queue<W> {
    /// Makes an empty one.
    pub(super) fn new(facts: W::State) -> Self {
        Self {
            line: Line::new(),
            facts,
            gone: Instant::MIN,
            plan: None,
            last: Instant::MIN,
            unsettled: None,
            unplanned: None,
            moved: Instant::MIN,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.line.row().is_empty()
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

    /// Returns what has gone once all in the plan have, and when the last of them goes.
    fn end(&self) -> (&W::State, Instant) {
        match &self.plan {
            Some(plan) => (plan, self.last),
            None => (&self.facts, self.gone),
        }
    }

    /// Returns when one goes who stands behind all in the plan. A sleeper that cannot be moved
    /// goes when it was told, or later.
    fn next_due(&self, bucket: &W, spot: Spot) -> Instant {
        let (waiter, (state, last)) = (self.line.row().get(spot), self.end());
        let due = bucket.turn(state, waiter.cost(), last.max(self.moved));
        if waiter.is_fixed() { due.max(waiter.armed) } else { due }
    }

    /// Adds a take to the plan.
    fn add(&mut self, bucket: &W, cost: u64, due: Instant) {
        let plan = self.plan.get_or_insert_with(|| self.facts.clone());
        bucket.put(plan, cost, due);
        self.last = due;
    }

    /// Plans the next one of whom is not known when it goes.
    fn plan_next(&mut self, bucket: &W) {
        let Some(spot) = self.unplanned else { return };
        let due = self.next_due(bucket, spot);
        self.waiter_mut(spot).plan(due);
        self.unplanned = self.line.row().next(spot);
        let cost = self.line.row().get(spot).cost();
        self.add(bucket, cost, due);
    }

    fn plan_all(&mut self, bucket: &W) {
        while self.unplanned.is_some() {
            self.plan_next(bucket);
        }
    }

    /// Drops the plan, since somebody ahead has moved.
    fn drop_plan(&mut self) {
        self.plan = None;
        self.unplanned = self.unsettled;
    }

    /// Makes facts of those who are due.
    pub(super) fn settle(&mut self, bucket: &W, now: Instant) {
        while let Some(spot) = self.unsettled {
            let is_unplanned = self.unplanned == Some(spot);
            let waiter = self.line.row().get(spot);
            let (cost, known) = (waiter.cost(), waiter.due());
            let due = if is_unplanned { self.next_due(bucket, spot) } else { known };
            if due > now {
                return;
            }
            self.waiter_mut(spot).settle(Some(due));
            bucket.put(&mut self.facts, cost, due);
            self.gone = due;
            self.unsettled = self.line.row().next(spot);
            if is_unplanned {
                self.unplanned = self.unsettled;
            }
            if self.unplanned == self.unsettled {
                self.plan = None;
            }
        }
    }

    /// Returns when one who waits goes.
    pub(super) fn due(&mut self, bucket: &W, spot: Spot) -> Instant {
        if self.line.row().get(spot).settled().is_none() {
            if self.unplanned == Some(spot) {
                self.plan_next(bucket);
            }
            // Who is not the first asks seldom: it is woken in its turn.
            if self.unsettled != Some(spot) {
                self.plan_all(bucket);
            }
        }
        self.line.row().get(spot).due()
    }

    /// Takes for one who does not wait, if nobody waits who is not due.
    pub(super) fn take(&mut self, bucket: &W, cost: u64, now: Instant) -> bool {
        self.settle(bucket, now);
        let is_free = self.unsettled.is_none();
        let taken = is_free && bucket.take(&mut self.facts, cost, now).is_some();
        if taken {
            self.gone = now;
        }
        taken
    }

    /// Returns when one who does not wait may take.
    pub(super) fn retry_after(&mut self, bucket: &W, cost: u64, now: Instant) -> RetryAfter {
        if !bucket.serves(cost) {
            return RetryAfter::Never;
        }
        self.settle(bucket, now);
        self.plan_all(bucket);
        let (state, last) = self.end();
        let due = bucket.turn(state, cost, last.max(now));
        RetryAfter::wait(due.saturating_duration_since(now))
    }

    /// Says how things stand: nothing is left while somebody waits who is not due.
    pub(super) fn decision(&mut self, bucket: &W, answer: RetryAfter, now: Instant) -> Decision {
        self.settle(bucket, now);
        self.plan_all(bucket);
        let (state, last) = self.end();
        let decision = bucket.decision(state, answer, last.max(now));
        let reset_after = bucket.fresh_at(state).saturating_duration_since(now);
        let remaining = if last > now { 0 } else { decision.remaining };
        Decision { remaining, reset_after, ..decision }
    }

    /// Finds where one more stands: behind all, or before those who came later and give way.
    pub(super) fn stand(&mut self, bucket: &W, request: Request, now: Instant) -> Stand {
        self.settle(bucket, now);
        let junior = request.ticket.and_then(|ticket| self.line.juniors(ticket));
        let is_due = |spot: &Spot| self.line.row().get(*spot).settled().is_some();
        let junior = self.line.row().from(junior).find(|spot| !is_due(spot));
        if junior.is_some() {
            self.drop_plan();
        }
        while self.unplanned.is_some() && self.unplanned != junior {
            self.plan_next(bucket);
        }
        let (state, last) = self.end();
        Stand { junior, due: bucket.turn(state, request.cost, last.max(self.moved).max(now)) }
    }

    /// Counts one who goes at once from where it stands.
    pub(super) fn pass(&mut self, bucket: &W, cost: u64, due: Instant) {
        bucket.put(&mut self.facts, cost, due);
        self.gone = due;
        self.drop_plan();
    }

    /// Lets one in to wait where it stands; returns what it is called.
    pub(super) fn join(
        &mut self,
        bucket: &W,
        waiter: Waiter,
        number: u32,
        Stand { junior, due }: Stand,
    ) -> NonZeroU64 {
        self.add(bucket, waiter.cost(), due);
        let spot = self.line.join(waiter, number, junior);
        if self.unsettled == junior {
            self.unsettled = Some(spot);
        }
        self.line.row().name(spot)
    }

    /// Takes one out, wherever it stands; says whether it was due.
    fn remove(&mut self, spot: Spot) -> (Waiter, bool) {
        let next = self.line.row().next(spot);
        for first in [&mut self.unsettled, &mut self.unplanned] {
            if *first == Some(spot) {
                *first = next;
            }
        }
        let waiter = self.line.remove(spot);
        let is_due = waiter.settled().is_some();
        (waiter, is_due)
    }

    /// Lets one go; returns it, and from when on its take counts. Who goes early counts at once.
    pub(super) fn go(&mut self, bucket: &W, spot: Spot, now: Instant) -> (Waiter, Instant) {
        self.settle(bucket, now);
        let (waiter, is_due) = self.remove(spot);
        let due = if is_due { waiter.due() } else { self.gone.max(now) };
        if !is_due {
            bucket.put(&mut self.facts, waiter.cost(), due);
            self.gone = due;
            self.move_up(now);
        }
        (waiter, due)
    }

    /// Lets one leave: what it would have taken is there for those behind it.
    pub(super) fn leave(&mut self, bucket: &W, spot: Spot, now: Instant) -> Waiter {
        self.settle(bucket, now);
        let (waiter, is_due) = self.remove(spot);
        if !is_due || bucket.undo(&mut self.facts, waiter.cost(), waiter.due()) {
            self.move_up(now);
        }
        waiter
    }

    /// Takes a take out of the facts again, if it still counts.
    pub(super) fn undo(&mut self, bucket: &W, cost: u64, at: Instant, now: Instant) {
        self.settle(bucket, now);
        if bucket.undo(&mut self.facts, cost, at) {
            self.move_up(now);
        }
    }

    fn move_up(&mut self, now: Instant) {
        self.moved = self.moved.max(now);
        self.drop_plan();
    }

    /// Lets all go in their order as if nothing had gone before; who was due stays so.
    pub(super) fn start_over(&mut self, bucket: &W, now: Instant) {
        self.settle(bucket, now);
        self.facts = bucket.fresh();
        let mut next = self.line.row().first();
        while let Some(spot) = next.filter(|spot| Some(*spot) != self.unsettled) {
            let waiter = self.line.waiter_mut(spot);
            waiter.settle(Some(now));
            bucket.put(&mut self.facts, waiter.cost(), now);
            next = self.line.row().next(spot);
        }
        self.gone = now;
        self.move_up(now);
    }

    /// Returns from when on it will be as new.
    pub(super) fn fresh_at(&self, bucket: &W) -> Instant {
        bucket.fresh_at(self.end().0)
    }

    /// Returns the waker of the first in line if it sleeps longer than it has to.
    #[must_use = "wake it once the lock is released"]
    pub(super) fn oversleeper(&mut self, bucket: &W) -> Option<Waker> {
        let first = self.line.row().first()?;
        let due = self.due(bucket, first);
        self.line.oversleeper(first, due)
    }
}
