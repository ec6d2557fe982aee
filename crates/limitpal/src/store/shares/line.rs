//! Those who wait for one key's share, first come first.

use std::num::NonZeroU64;
use std::task::Waker;

use super::members::Rank;
use crate::time::Instant;
use crate::waiting::{Row, Spot};

/// Those who wait for one key.
#[derive(Debug)]
pub(super) struct Line {
    row: Row<Waiter>,
    /// What they want together.
    cost: u64,
    /// Where the key stands among those for which somebody waits.
    pub(super) rank: Rank,
}

/// One who waits. It has taken nothing yet.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) waker: Option<Waker>,
    pub(super) cost: u64,
    /// When its sleep ends.
    pub(super) armed: Instant,
    /// Whether its sleep cannot be ended before.
    pub(super) fixed: bool,
}

impl Waiter {
    /// Returns whether it sleeps and nobody can wake it: then it is in nobody's way.
    fn is_away(&self, now: Instant) -> bool {
        self.fixed && self.armed > now
    }
}

impl Line {
    pub(super) fn new() -> Self {
        Self { row: Row::new(), cost: 0, rank: (0, 0) }
    }

    pub(super) fn cost(&self) -> u64 {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Has one wait behind all others; returns what it is called.
    pub(super) fn join(&mut self, waiter: Waiter, number: u32) -> NonZeroU64 {
        self.cost += waiter.cost;
        let spot = self.row.insert(waiter, number, None);
        self.row.name(spot)
    }

    pub(super) fn find(&self, id: NonZeroU64) -> Option<Spot> {
        self.row.find(id)
    }

    pub(super) fn get(&self, spot: Spot) -> &Waiter {
        self.row.get(spot)
    }

    pub(super) fn get_mut(&mut self, spot: Spot) -> &mut Waiter {
        self.row.get_mut(spot)
    }

    pub(super) fn remove(&mut self, spot: Spot) -> Waiter {
        let waiter = self.row.remove(spot);
        self.cost -= waiter.cost;
        waiter
    }

    /// Returns the first who is not away.
    pub(super) fn next(&self, now: Instant) -> Option<Spot> {
        self.row.from(self.row.first()).find(|spot| !self.row.get(*spot).is_away(now))
    }
}
