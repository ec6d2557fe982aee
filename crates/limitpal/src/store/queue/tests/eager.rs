//! A queue as a plain list: everybody's turn is planned anew whenever anything happens.

use crate::algorithm::{Mark, Undone, Window, mark as mark_of};
use crate::retry_after::RetryAfter;
use crate::store::Request;
use crate::time::Instant;

#[derive(Clone, Copy)]
struct Waiting {
    who: usize,
    request: Request,
    until: Instant,
    due: Instant,
    armed: Instant,
    rings: bool,
    is_due: bool,
    mark: Option<Mark>,
}

pub(super) struct Eager<W: Window> {
    window: W,
    /// What went, in its order, since a state that no list tells any more.
    facts: Vec<(Instant, u64)>,
    since: W::State,
    waiters: Vec<Waiting>,
    moved: Instant,
    pub(super) epoch: u64,
    pub(super) woken: Vec<usize>,
}

impl<W: Window> Eager<W> {
    pub(super) fn new(window: W) -> Self {
        let (facts, waiters, woken) = (Vec::new(), Vec::new(), Vec::new());
        let since = window.fresh();
        Self { window, facts, since, waiters, moved: Instant::MIN, epoch: 0, woken }
    }

    /// Returns the state that some takes leave behind, and when the last of them goes.
    fn state(&self, takes: impl Iterator<Item = (Instant, u64)>) -> (W::State, Instant) {
        let (mut state, mut last) = (self.since.clone(), Instant::MIN);
        for (at, cost) in takes {
            self.window.put(&mut state, cost, at);
            last = last.max(at);
        }
        (state, last)
    }

    /// Returns the takes of those who wait ahead of one, behind the facts.
    fn ahead(&self, rank: usize) -> (W::State, Instant) {
        let waiting = self.waiters[..rank].iter().filter(|waiting| !waiting.is_due);
        let planned = waiting.map(|waiting| (waiting.due, waiting.request.cost));
        self.state(self.facts.iter().copied().chain(planned))
    }

    /// Adds a fact; returns where it lies.
    fn push(&mut self, at: Instant, cost: u64) -> Mark {
        let (mut state, _) = self.ahead(0);
        self.facts.push((at, cost));
        self.window.put(&mut state, cost, at)
    }

    pub(super) fn settle(&mut self, now: Instant) {
        for rank in 0..self.waiters.len() {
            let Waiting { due, request, is_due, .. } = self.waiters[rank];
            if is_due {
                continue;
            }
            if due > now {
                return;
            }
            let mark = self.push(due, request.cost);
            let waiting = &mut self.waiters[rank];
            (waiting.is_due, waiting.mark) = (true, Some(mark));
        }
    }

    fn plan(&mut self) {
        for rank in 0..self.waiters.len() {
            if self.waiters[rank].is_due {
                continue;
            }
            let (state, last) = self.ahead(rank);
            let Waiting { request, armed, .. } = &self.waiters[rank];
            let planned = self.window.turn(&state, request.cost, last.max(self.moved));
            let planned = if request.fixed { planned.max(*armed) } else { planned };
            self.waiters[rank].due = planned;
        }
    }

    fn move_up(&mut self, now: Instant) {
        self.moved = now;
        self.plan();
    }

    fn wake(&mut self) {
        let Some(first) = self.waiters.first_mut() else { return };
        if first.armed > first.due {
            first.armed = first.due;
            if first.rings {
                self.woken.push(first.who);
            }
        }
    }

    fn rank(&self, who: usize) -> Option<usize> {
        self.waiters.iter().position(|waiting| waiting.who == who)
    }

    /// Returns until when one sleeps.
    pub(super) fn armed(&self, who: usize) -> Instant {
        self.waiters[self.rank(who).expect("it waits")].armed
    }

    pub(super) fn first(&self) -> Option<(usize, Instant)> {
        self.waiters.first().map(|waiting| (waiting.who, waiting.due))
    }

    pub(super) fn take(&mut self, cost: u64, now: Instant) -> Option<Mark> {
        if self.waiters.iter().any(|waiting| !waiting.is_due) {
            return None;
        }
        let (mut state, _) = self.ahead(0);
        let taken = self.window.take(&mut state, cost, now);
        self.facts.extend(taken.map(|_| (now, cost)));
        taken
    }

    pub(super) fn look(&self, cost: u64, now: Instant) -> (Instant, u32, Instant) {
        let (state, last) = self.ahead(self.waiters.len());
        let due = self.window.turn(&state, cost, last.max(now));
        let decision = self.window.decision(&state, RetryAfter::Now, now);
        let remaining = if last > now { 0 } else { decision.remaining };
        (due, remaining, self.window.fresh_at(&state))
    }

    /// Returns where one more would stand, and when it would go.
    pub(super) fn due(&self, request: Request, now: Instant) -> (usize, Instant) {
        let gives_way = |waiting: &&Waiting| {
            let ticket = request.ticket.zip(waiting.request.ticket);
            let is_later = ticket.is_some_and(|(own, other)| other > own);
            is_later && !waiting.request.fixed && !waiting.is_due
        };
        let juniors = self.waiters.iter().rev().take_while(gives_way).count();
        let rank = self.waiters.len() - juniors;
        let (state, last) = self.ahead(rank);
        (rank, self.window.turn(&state, request.cost, last.max(self.moved).max(now)))
    }

    pub(super) fn pass(&mut self, request: Request, now: Instant) -> Mark {
        let mark = self.push(now, request.cost);
        self.plan();
        mark
    }

    pub(super) fn join(&mut self, who: usize, request: Request, now: Instant) {
        let (rank, due) = self.due(request, now);
        let (armed, until, rings, is_due) = (due, request.until(now), false, false);
        let waiting = Waiting { who, request, until, due, armed, rings, is_due, mark: None };
        self.waiters.insert(rank, waiting);
        self.plan();
    }

    pub(super) fn arm(&mut self, who: usize) -> Option<Instant> {
        let rank = self.rank(who)?;
        let waiting = &mut self.waiters[rank];
        (waiting.armed, waiting.rings) = (waiting.due.min(waiting.until), true);
        Some(waiting.armed)
    }

    /// One sleeps on; returns until when, and whether it would not wait for so long.
    pub(super) fn sleep_on(&mut self, who: usize) -> Option<(Instant, bool)> {
        let rank = self.rank(who)?;
        let waiting = &mut self.waiters[rank];
        waiting.armed = waiting.due;
        Some((waiting.due, waiting.due > waiting.until))
    }

    /// As `sleep_on`, of a sleeper that cannot be moved and goes later than it was told.
    pub(super) fn pushed_back(&mut self, who: usize, now: Instant) -> Option<(Instant, bool)> {
        let waiting = &self.waiters[self.rank(who)?];
        let is_later = waiting.request.fixed && waiting.due > waiting.armed;
        let is_pushed = is_later && self.window.leaving_delays();
        let slept = is_pushed.then(|| self.sleep_on(who)).flatten();
        slept.filter(|(due, _)| *due > now)
    }

    pub(super) fn go(&mut self, who: usize, now: Instant) -> (Mark, u64) {
        let rank = self.rank(who).expect("who goes has waited");
        let Waiting { request, mark, .. } = self.waiters.remove(rank);
        let gone = self.facts.iter().map(|(at, _)| *at).max().unwrap_or(Instant::MIN);
        let mark = mark.unwrap_or_else(|| {
            let mark = self.push(now.max(gone), request.cost);
            self.move_up(now);
            mark
        });
        self.wake();
        (mark, request.cost)
    }

    pub(super) fn leave(&mut self, who: usize, now: Instant) {
        let Some(rank) = self.rank(who) else { return };
        let Waiting { request, mark, .. } = self.waiters.remove(rank);
        if mark.is_none_or(|mark| self.undo(request.cost, mark, now)) {
            self.move_up(now);
        }
        self.wake();
    }

    /// Takes a take out of the facts, if the window says that it can be.
    fn undo(&mut self, cost: u64, mark: Mark, now: Instant) -> bool {
        let (mut state, _) = self.state(self.facts.iter().copied());
        match self.window.undo(&mut state, cost, mark, now) {
            Undone::Not => return false,
            Undone::Wholly if mark.before.is_some() => {
                // It leaves the instant at which it was, and no take before it is the last again.
                self.since = state;
                self.facts.clear();
            }
            Undone::Wholly => {
                let is_it = |(at, one): &(Instant, u64)| *one == cost && *at == mark.after.ceil();
                let index = self.facts.iter().rposition(is_it);
                self.facts.remove(index.expect("only what went is undone"));
            }
            Undone::Amid => {
                (self.since, self.epoch) = (state, self.epoch + 1);
                self.facts.clear();
                let lost = |waiting: &mut Waiting| {
                    waiting.mark = waiting.mark.map(|_| mark_of(waiting.due));
                };
                self.waiters.iter_mut().for_each(lost);
            }
        }
        true
    }

    pub(super) fn give_back(&mut self, cost: u64, mark: Mark, now: Instant) {
        if self.undo(cost, mark, now) {
            self.move_up(now);
        }
        self.wake();
    }

    pub(super) fn reset(&mut self, now: Instant) {
        self.epoch += 1;
        self.facts.clear();
        self.since = self.window.fresh();
        for rank in 0..self.waiters.len() {
            if self.waiters[rank].is_due {
                let mark = self.push(now, self.waiters[rank].request.cost);
                let waiting = &mut self.waiters[rank];
                (waiting.due, waiting.mark) = (now, Some(mark));
            }
        }
        self.move_up(now);
        self.wake();
    }
}
