//! Who waits for a key, in what order, and who moves up when one leaves.
//!
//! A line knows nothing of buckets: `T` is the level that a take leaves behind, which also gives
//! the order. Whoever holds the line computes the times; the line keeps them in order and says
//! whose sleep has become too long.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::task::Waker;

use crate::time::Instant;

/// Those who wait for one key, first come first.
#[derive(Debug)]
pub(crate) struct Line<T> {
    /// In the order of their takes.
    waiters: VecDeque<Waiter<T>>,
    /// Whether that is the order of their ids too, so that one is found without a walk.
    in_order: bool,
    /// How many cannot be moved.
    fixed: usize,
    freed: Vec<Freed<T>>,
}

/// One who waits, and has taken already: the bucket's level goes from `before` to `after` by it.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    pub(crate) id: u64,
    pub(crate) cost: u64,
    pub(crate) before: T,
    pub(crate) after: T,
    /// When it may go.
    pub(crate) due: Instant,
    /// When its sleep ends; later than `due` if it has moved up since it fell asleep.
    pub(crate) armed: Instant,
    pub(crate) waker: Option<Waker>,
    /// Whether its sleep cannot be moved; then a place freed before it goes to a newcomer.
    pub(crate) fixed: bool,
    /// When it came, where it waits for several lines in turn; then it stands before those who
    /// came later and do the same.
    pub(crate) ticket: Option<NonZeroU64>,
}

impl<T> Waiter<T> {
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
        Self { waiters: VecDeque::new(), in_order: true, fixed: 0, freed: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiters.is_empty()
    }

    /// Adds one who waits, behind all whose takes came before.
    pub(crate) fn join(&mut self, waiter: Waiter<T>) {
        let ahead = self.waiters.iter().rev().take_while(|other| other.after > waiter.after);
        let place = self.waiters.len() - ahead.count();
        self.in_order &= place == self.waiters.len()
            && self.waiters.back().is_none_or(|last| last.id < waiter.id);
        self.fixed += usize::from(waiter.fixed);
        self.waiters.insert(place, waiter);
    }

    fn place_of(&self, id: u64) -> Option<usize> {
        if self.in_order {
            return self.waiters.binary_search_by_key(&id, |waiter| waiter.id).ok();
        }
        self.waiters.iter().position(|waiter| waiter.id == id)
    }

    /// Returns the rank from which on everybody gives way to one who came at `ticket`.
    pub(crate) fn juniors(&self, ticket: NonZeroU64) -> Option<usize> {
        let count = self.waiters.iter().rev().take_while(|waiter| waiter.gives_way(ticket)).count();
        (count > 0).then(|| self.waiters.len() - count)
    }

    /// Returns those from a rank on.
    pub(crate) fn starting(&self, rank: usize) -> impl Iterator<Item = &Waiter<T>> {
        self.waiters.range(rank..)
    }

    /// Returns those from a rank on, to be moved.
    pub(crate) fn starting_mut(&mut self, rank: usize) -> impl Iterator<Item = &mut Waiter<T>> {
        self.waiters.range_mut(rank..)
    }

    pub(crate) fn find(&mut self, id: u64) -> Option<&mut Waiter<T>> {
        let place = self.place_of(id)?;
        self.waiters.get_mut(place)
    }

    /// Takes one out of the line, wherever it stands.
    pub(crate) fn remove(&mut self, id: u64) -> Option<Waiter<T>> {
        let waiter = self.waiters.remove(self.place_of(id)?)?;
        self.fixed -= usize::from(waiter.fixed);
        self.in_order |= self.waiters.is_empty();
        Some(waiter)
    }

    /// Returns whether a sleeper that cannot be moved took after this one.
    pub(crate) fn any_fixed_behind(&self, after: T) -> bool {
        self.fixed > 0 && self.waiters.range(self.first_behind(after)..).any(|waiter| waiter.fixed)
    }

    /// Returns the last take that is known here, of one who waits or has left.
    pub(crate) fn last(&self) -> Option<T> {
        let (waiter, freed) = (self.waiters.back(), self.freed.last());
        waiter.map(|waiter| waiter.after).max(freed.map(|place| place.after))
    }

    /// Returns the rank of the first whose take came after this one.
    fn first_behind(&self, after: T) -> usize {
        self.waiters.partition_point(|waiter| waiter.after <= after)
    }

    /// Returns those whose takes came after this one.
    pub(crate) fn behind(&mut self, after: T) -> impl Iterator<Item = &mut Waiter<T>> {
        let first = self.first_behind(after);
        self.waiters.range_mut(first..)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiter<T>> {
        self.waiters.iter_mut()
    }

    /// Returns the waker of the first in line if it sleeps longer than it has to.
    ///
    /// Only the first needs to know: when it goes, the next is asked in its turn, so that a place
    /// given up costs one further wake for each that moves, and none at once.
    #[must_use = "wake it once the lock is released"]
    pub(crate) fn oversleeper(&mut self) -> Option<Waker> {
        let first = self.waiters.front_mut()?;
        if first.armed <= first.due {
            return None;
        }
        first.armed = first.due;
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

    /// Takes a freed place that [`find_freed`](Self::find_freed) has shown.
    pub(crate) fn take_freed(&mut self, place: Freed<T>) {
        self.freed.retain(|other| other.after != place.after);
    }

    /// Takes the last freed place if everybody behind it can be moved.
    pub(crate) fn pop_movable_freed(&mut self) -> Option<Freed<T>> {
        let last = *self.freed.last()?;
        if self.any_fixed_behind(last.after) { None } else { self.freed.pop() }
    }

    pub(crate) fn clear_freed(&mut self) {
        self.freed.clear();
    }
}
