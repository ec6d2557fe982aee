//! One gate: as how many those count who are inside, and who waits, first come first.

use std::num::NonZeroU64;
use std::task::Waker;

use super::woken::Woken;
use crate::shards::Fingerprint;
use crate::waiting::{Row, Spot};

/// A key's gate.
#[derive(Debug)]
pub(super) struct Gate {
    key: Fingerprint,
    inside: u32,
    /// Made for the first who waits and dropped after the last: a gate at which nobody waits takes
    /// 32 bytes, and a crowd leaves nothing behind.
    line: Option<Box<Line>>,
}

#[derive(Debug)]
struct Line {
    row: Row<Waiter>,
    count: usize,
    /// Whether all who came while somebody waited came with a ticket; then they stand in the order
    /// of their tickets.
    ticketed: bool,
}

#[derive(Debug)]
struct Waiter {
    cost: u32,
    /// When it came, where it waits in several lines in turn; then it stands before those who came
    /// later and do the same.
    ticket: Option<NonZeroU64>,
    waker: Option<Waker>,
}

impl Waiter {
    /// Whether one who came at `ticket` goes before this one.
    fn gives_way(&self, ticket: NonZeroU64) -> bool {
        self.ticket.is_some_and(|own| own > ticket)
    }
}

impl Line {
    fn new() -> Self {
        Self { row: Row::new(), count: 0, ticketed: true }
    }

    /// Returns the first of those at the end who all give way to one who came at `ticket`.
    fn juniors(&self, ticket: Option<NonZeroU64>) -> Option<Spot> {
        let (row, ticket) = (&self.row, ticket?);
        if self.ticketed {
            return row.first_where(|waiter, _| waiter.gives_way(ticket));
        }
        row.back_from(row.last()).take_while(|spot| row.get(*spot).gives_way(ticket)).last()
    }
}

impl Gate {
    /// Makes a gate with one inside, who counts as so many.
    pub(super) fn new(key: Fingerprint, inside: u32) -> Self {
        Self { key, inside, line: None }
    }

    #[inline]
    pub(super) fn key(&self) -> Fingerprint {
        self.key
    }

    /// Returns what the table finds it by.
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        self.key.low.get()
    }

    pub(super) fn inside(&self) -> u32 {
        self.inside
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.count)
    }

    /// Returns whether nobody is inside and nobody waits.
    pub(super) fn is_idle(&self) -> bool {
        self.inside == 0 && self.line.is_none()
    }

    /// Lets one in if there is room and nobody waits who goes before it.
    #[inline]
    pub(super) fn enter(&mut self, cost: u32, limit: u32, ticket: Option<NonZeroU64>) -> bool {
        let enters = self.admits(cost, limit, ticket);
        if enters {
            self.inside += cost;
        }
        enters
    }

    /// Returns whether one would be let in at once.
    #[inline]
    pub(super) fn admits(&self, cost: u32, limit: u32, ticket: Option<NonZeroU64>) -> bool {
        let goes_before =
            |line: &Line| ticket.is_some() && line.juniors(ticket) == line.row.first();
        self.line.as_deref().is_none_or(goes_before) && self.has_room(cost, limit)
    }

    #[inline]
    fn has_room(&self, cost: u32, limit: u32) -> bool {
        u64::from(self.inside) + u64::from(cost) <= u64::from(limit)
    }

    /// Has one wait behind all others, or before those who give way to it; returns what it is
    /// called.
    pub(super) fn join(
        &mut self,
        cost: u32,
        ticket: Option<NonZeroU64>,
        number: u32,
    ) -> NonZeroU64 {
        let line = self.line.get_or_insert_with(|| Box::new(Line::new()));
        let before = line.juniors(ticket);
        line.count += 1;
        line.ticketed &= ticket.is_some();
        let spot = line.row.insert(Waiter { cost, ticket, waker: None }, number, before);
        line.row.name(spot)
    }

    /// Returns whether one still waits.
    pub(super) fn has(&self, id: NonZeroU64) -> bool {
        self.find(id).is_some()
    }

    fn find(&self, id: NonZeroU64) -> Option<Spot> {
        self.line.as_ref()?.row.find(id)
    }

    /// Returns the waker of one who waits, if it still does.
    pub(super) fn waker(&mut self, id: NonZeroU64) -> Option<&mut Option<Waker>> {
        let line = self.line.as_mut()?;
        let spot = line.row.find(id)?;
        Some(&mut line.row.get_mut(spot).waker)
    }

    /// Takes one out of the line, and lets in those for whom it was in the way.
    pub(super) fn leave(&mut self, id: NonZeroU64, limit: u32, woken: &mut Woken) -> Option<Waker> {
        let spot = self.find(id)?;
        let waiter = self.take_out(spot);
        self.let_in(limit, woken);
        waiter.waker
    }

    fn take_out(&mut self, spot: Spot) -> Waiter {
        let line = self.line.as_mut().expect("a spot is in the line");
        line.count -= 1;
        let waiter = line.row.remove(spot);
        if line.row.is_empty() {
            self.line = None;
        }
        waiter
    }

    /// Lets out so many, and in those for whom there is room now.
    #[inline]
    pub(super) fn let_out(&mut self, cost: u32, limit: u32, woken: &mut Woken) {
        self.inside -= cost;
        self.let_in(limit, woken);
    }

    /// Lets in those for whom there is room, from the first on: one who is many is not overtaken
    /// by those behind who are few.
    #[inline]
    pub(super) fn let_in(&mut self, limit: u32, woken: &mut Woken) {
        while let Some(first) = self.line.as_ref().and_then(|line| line.row.first()) {
            let cost = self.cost(first);
            if !self.has_room(cost, limit) {
                return;
            }
            let waiter = self.take_out(first);
            self.inside += waiter.cost;
            woken.push(waiter.waker);
        }
    }

    /// Takes out of the line whoever is more than the limit, and tells who that was.
    pub(super) fn turn_away(
        &mut self,
        limit: u32,
        woken: &mut Woken,
        mut tell: impl FnMut(NonZeroU64, u32),
    ) {
        let Some(line) = &self.line else { return };
        let row = &line.row;
        let is_more = |spot: &Spot| row.get(*spot).cost > limit;
        let more: Vec<_> = row.from(row.first()).filter(is_more).collect();
        for spot in more {
            let id = self.line.as_ref().expect("somebody waits").row.name(spot);
            let waiter = self.take_out(spot);
            tell(id, waiter.cost);
            woken.push(waiter.waker);
        }
    }

    fn cost(&self, spot: Spot) -> u32 {
        self.line.as_ref().map_or(0, |line| line.row.get(spot).cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_gates_fill_a_line_of_the_cache() {
        assert_eq!(32, size_of::<Gate>());
    }
}
