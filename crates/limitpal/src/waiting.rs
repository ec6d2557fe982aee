//! Who waits for a key, in what order, and whom to wake.
//!
//! A line knows nothing of buckets: whoever holds it computes where each stands; the line keeps
//! them in order and says whose sleep has become too long.

mod row;

use std::num::NonZeroU64;
use std::task::Waker;

pub(crate) use self::row::{Distance, Row, Spot};
use crate::time::Instant;

/// Those who wait for one key, first come first; `T` is the level that a take leaves behind.
#[derive(Debug)]
pub(crate) struct Line<T> {
    row: Row<Waiter>,
    /// How many of them cannot be moved, and how many can.
    fixed: usize,
    movable: usize,
    /// Whether all who came while somebody waited came with a ticket, and can be moved; then they
    /// stand in the order of their tickets.
    ticketed: bool,
    freed: Vec<Freed<T>>,
}

/// One who waits, and has taken already. A hundred thousand of these may wait, so they are small.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) waker: Option<Waker>,
    /// When its sleep ends; later than when it may go if it has moved up since it fell asleep.
    pub(crate) armed: Instant,
    /// When it came, where it waits for several lines in turn; then it stands before those who
    /// came later and do the same.
    ticket: Option<NonZeroU64>,
    due: Instant,
    /// It would not wait longer than until then.
    pub(crate) until: Instant,
    cost: u32,
    /// By how many parts of a nanosecond its take is put off, so that it goes at a whole one.
    pub(crate) lag: u32,
    /// Whether its sleep cannot be moved; then a place freed before it goes to a newcomer.
    fixed: bool,
    settled: bool,
    /// Whether a change of the limiter has moved it since it fell asleep.
    pub(crate) is_pushed: bool,
    /// Whether where it stands is written down elsewhere.
    pub(crate) is_written: bool,
}

impl Waiter {
    pub(crate) fn new(cost: u32, ticket: Option<NonZeroU64>, fixed: bool, armed: Instant) -> Self {
        let (waker, due, lag) = (None, armed, 0);
        let (settled, is_pushed, is_written) = (false, false, false);
        let until = Instant::MAX;
        Self { waker, armed, ticket, due, until, cost, lag, fixed, settled, is_pushed, is_written }
    }

    /// Tells one who slept for as long as it was told when it goes, if that is later now: by a
    /// change of the limiter, or where `grows` by who left ahead of it.
    pub(crate) fn push_back(&mut self, due: Instant, grows: bool) -> Option<Instant> {
        if due <= self.armed || !(self.is_pushed || grows && self.fixed) {
            return None;
        }
        (self.is_pushed, self.armed) = (false, due);
        Some(due)
    }

    pub(crate) fn cost(&self) -> u64 {
        self.cost.into()
    }

    /// Returns when it was due, if that is settled.
    pub(crate) fn settled(&self) -> Option<Instant> {
        self.settled.then_some(self.due)
    }

    /// Settles when it was due, once it was: who moves up later was due no earlier.
    pub(crate) fn settle(&mut self, due: Option<Instant>) {
        self.settled = due.is_some();
        self.due = due.unwrap_or(self.due);
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Returns when one goes whose turn it is then: who cannot be moved not before it was told.
    pub(crate) fn no_earlier(&self, due: Instant) -> Instant {
        if self.fixed { due.max(self.armed) } else { due }
    }

    /// Returns whether the next one follows this one by the same rule.
    pub(crate) fn is_like(&self, next: &Self) -> bool {
        self.cost == next.cost && !self.fixed && !next.fixed
    }

    /// Whether one who came at `ticket` goes before this one.
    fn gives_way(&self, ticket: NonZeroU64) -> bool {
        !self.fixed && self.ticket.is_some_and(|own| own > ticket)
    }
}

/// A place left by a sleeper behind whom others cannot be moved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Freed<T> {
    pub(crate) cost: u64,
    pub(crate) before: T,
    pub(crate) after: T,
    pub(crate) due: Instant,
}

impl<T: Copy + Ord> Line<T> {
    pub(crate) fn new() -> Self {
        Self { row: Row::new(), fixed: 0, movable: 0, ticketed: true, freed: Vec::new() }
    }

    /// Returns those who wait.
    pub(crate) fn row(&self) -> &Row<Waiter> {
        &self.row
    }

    pub(crate) fn waiter_mut(&mut self, spot: Spot) -> &mut Waiter {
        self.row.get_mut(spot)
    }

    /// Adds one who waits, before another or behind all. No two have the same number.
    pub(crate) fn join(&mut self, waiter: Waiter, number: u32, before: Option<Spot>) -> Spot {
        *self.count_of(&waiter) += 1;
        let is_ticketed = waiter.ticket.is_some() && !waiter.fixed;
        self.ticketed = is_ticketed && (self.ticketed || self.row.is_empty());
        self.row.insert(waiter, number, before)
    }

    /// Takes one out of the line, wherever it stands.
    pub(crate) fn remove(&mut self, spot: Spot) -> Waiter {
        let waiter = self.row.remove(spot);
        *self.count_of(&waiter) -= 1;
        waiter
    }

    fn count_of(&mut self, waiter: &Waiter) -> &mut usize {
        if waiter.fixed { &mut self.fixed } else { &mut self.movable }
    }

    /// Moves all behind one, so that the next stands so far behind it.
    pub(crate) fn set_distance(&mut self, spot: Spot, distance: Distance) {
        self.row.set_distance(spot, distance);
    }

    /// Returns the first of those at the end who all give way to one who came at `ticket`.
    pub(crate) fn juniors(&self, ticket: NonZeroU64) -> Option<Spot> {
        if self.ticketed {
            return self.row.first_where(|waiter, _| waiter.gives_way(ticket));
        }
        let from_last = self.row.back_from(self.row.last());
        from_last.take_while(|spot| self.row.get(*spot).gives_way(ticket)).last()
    }

    /// Returns whether any sleeper cannot be moved.
    pub(crate) fn any_fixed(&self) -> bool {
        self.fixed > 0
    }

    /// Returns the first who can be moved; where all or none can, in one step.
    pub(crate) fn first_movable(&self) -> Option<Spot> {
        let first = self.row.first().filter(|_| self.movable > 0)?;
        if self.fixed == 0 {
            return Some(first);
        }
        self.row.from(Some(first)).find(|spot| !self.row.get(*spot).fixed)
    }

    /// Returns the waker of the first in line, of all or of those who can be moved, if it sleeps
    /// longer than it has to.
    ///
    /// Only the first needs to know: when it goes, the next is asked in its turn, so that a place
    /// given up costs one further wake for each that moves, and none at once.
    #[must_use = "wake it once the lock is released"]
    pub(crate) fn oversleeper(&mut self, first: Spot, due: Instant) -> Option<Waker> {
        let first = self.row.get_mut(first);
        if first.armed <= due {
            return None;
        }
        first.armed = due;
        first.waker.clone()
    }

    /// Keeps a place that nobody behind can move up to.
    pub(crate) fn free(&mut self, place: Freed<T>) {
        let rank = self.freed.partition_point(|other| other.after < place.after);
        self.freed.insert(rank, place);
    }

    /// Returns the earliest freed place that `fits`.
    pub(crate) fn find_freed(&self, fits: impl Fn(&Freed<T>) -> bool) -> Option<Freed<T>> {
        self.freed.iter().copied().find(|place| fits(place))
    }

    /// Returns the last freed place.
    pub(crate) fn last_freed(&self) -> Option<Freed<T>> {
        self.freed.last().copied()
    }

    /// Takes the last freed place.
    pub(crate) fn pop_freed(&mut self) -> Option<Freed<T>> {
        self.freed.pop()
    }

    /// Takes a freed place that is known to be there.
    pub(crate) fn take_freed(&mut self, place: Freed<T>) {
        self.freed.retain(|other| other.after != place.after);
    }

    pub(crate) fn clear_freed(&mut self) {
        self.freed.clear();
    }
}

/// Counts the nodes that a row looks at, so that tests can hold it to its bounds.
#[cfg(all(test, not(loom)))]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local! {
        static STEPS: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    /// Returns how many there were in this thread during `work`.
    pub(crate) fn during(work: impl FnOnce()) -> u64 {
        let before = STEPS.with(Cell::get);
        work();
        STEPS.with(Cell::get) - before
    }
}
