//! A queue as a plain list: everybody's turn is planned anew whenever anything happens.

use crate::algorithm::Window;
use crate::retry_after::RetryAfter;
use crate::store::Request;
use crate::time::Instant;

struct Waiting {
    who: usize,
    request: Request,
    due: Instant,
    armed: Instant,
    rings: bool,
    is_due: bool,
}

pub(super) struct Eager<W> {
    window: W,
    /// What went, in its order.
    facts: Vec<(Instant, u64)>,
    waiters: Vec<Waiting>,
    moved: Instant,
    pub(super) epoch: u64,
    pub(super) woken: Vec<usize>,
}

impl<W: Window> Eager<W> {
    pub(super) fn new(window: W) -> Self {
        let (facts, waiters, woken) = (Vec::new(), Vec::new(), Vec::new());
        Self { window, facts, waiters, moved: Instant::MIN, epoch: 0, woken }
    }

    /// Returns the state that some takes leave behind, and when the last of them goes.
    fn state(&self, takes: impl Iterator<Item = (Instant, u64)>) -> (W::State, Instant) {
        let (mut state, mut last) = (self.window.fresh(), Instant::MIN);
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

    pub(super) fn settle(&mut self, now: Instant) {
        for waiting in self.waiters.iter_mut().filter(|waiting| !waiting.is_due) {
            if waiting.due > now {
                return;
            }
            waiting.is_due = true;
            self.facts.push((waiting.due, waiting.request.cost));
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

    pub(super) fn first(&self) -> Option<(usize, Instant)> {
        self.waiters.first().map(|waiting| (waiting.who, waiting.due))
    }

    pub(super) fn take(&mut self, cost: u64, now: Instant) -> bool {
        if self.waiters.iter().any(|waiting| !waiting.is_due) {
            return false;
        }
        let (mut state, _) = self.ahead(0);
        let taken = self.window.take(&mut state, cost, now).is_some();
        self.facts.extend(taken.then_some((now, cost)));
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

    pub(super) fn pass(&mut self, request: Request, now: Instant) {
        self.facts.push((now, request.cost));
        self.plan();
    }

    pub(super) fn join(&mut self, who: usize, request: Request, now: Instant) {
        let (rank, due) = self.due(request, now);
        let waiting = Waiting { who, request, due, armed: due, rings: false, is_due: false };
        self.waiters.insert(rank, waiting);
        self.plan();
    }

    pub(super) fn arm(&mut self, who: usize) -> Option<Instant> {
        let rank = self.rank(who)?;
        let waiting = &mut self.waiters[rank];
        (waiting.armed, waiting.rings) = (waiting.due, true);
        Some(waiting.due)
    }

    pub(super) fn sleep_on(&mut self, who: usize) -> Option<Instant> {
        let rank = self.rank(who)?;
        self.waiters[rank].armed = self.waiters[rank].due;
        Some(self.waiters[rank].due)
    }

    pub(super) fn go(&mut self, who: usize, now: Instant) -> (Instant, u64) {
        let rank = self.rank(who).expect("who goes has waited");
        let Waiting { request, due, is_due, .. } = self.waiters.remove(rank);
        let gone = self.facts.iter().map(|(at, _)| *at).max().unwrap_or(Instant::MIN);
        let at = if is_due { due } else { now.max(gone) };
        if !is_due {
            self.facts.push((at, request.cost));
            self.move_up(now);
        }
        self.wake();
        (at, request.cost)
    }

    pub(super) fn leave(&mut self, who: usize, now: Instant) {
        let Some(rank) = self.rank(who) else { return };
        let Waiting { request, due, is_due, .. } = self.waiters.remove(rank);
        if !is_due || self.undo(request.cost, due) {
            self.move_up(now);
        }
        self.wake();
    }

    /// Takes a take out of the facts, if the window says that it can be.
    fn undo(&mut self, cost: u64, at: Instant) -> bool {
        let (mut state, _) = self.state(self.facts.iter().copied());
        let undone = self.window.undo(&mut state, cost, at);
        if let Some(index) = self.facts.iter().position(|fact| *fact == (at, cost))
            && undone
        {
            self.facts.remove(index);
        }
        undone
    }

    pub(super) fn give_back(&mut self, cost: u64, at: Instant, now: Instant) {
        if self.undo(cost, at) {
            self.move_up(now);
        }
        self.wake();
    }

    pub(super) fn reset(&mut self, now: Instant) {
        self.epoch += 1;
        self.facts.clear();
        for waiting in self.waiters.iter_mut().filter(|waiting| waiting.is_due) {
            waiting.due = now;
            self.facts.push((now, waiting.request.cost));
        }
        self.move_up(now);
        self.wake();
    }
}
