//! Who sleeps on a mock clock, in the order they are to wake.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use crate::time::Instant;

/// Who sleeps, by deadline in steady time, then by who came first.
#[derive(Default)]
pub(super) struct Sleepers {
    wakers: BTreeMap<(Instant, u64), Waker>,
    deadlines: HashMap<u64, Instant>,
    /// Counts who came, so it also names them.
    arrivals: u64,
    /// Counts who came, woke and left: tasks have settled when it rests.
    events: u64,
}

impl Sleepers {
    pub(super) fn len(&self) -> usize {
        self.wakers.len()
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    pub(super) fn earliest(&self) -> Option<Instant> {
        self.wakers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn insert(&mut self, deadline: Instant, waker: Waker) -> u64 {
        self.arrivals += 1;
        self.events += 1;
        self.wakers.insert((deadline, self.arrivals), waker);
        self.deadlines.insert(self.arrivals, deadline);
        self.arrivals
    }

    /// Puts another waker in a sleeper's place; the old one is returned to be dropped outside.
    pub(super) fn replace(&mut self, id: u64, waker: Waker) -> Option<Waker> {
        let deadline = *self.deadlines.get(&id)?;
        self.wakers.insert((deadline, id), waker)
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Waker> {
        let deadline = self.deadlines.remove(&id)?;
        self.events += 1;
        self.wakers.remove(&(deadline, id))
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Waker> {
        let first = self.wakers.first_entry()?;
        let (deadline, id) = *first.key();
        if deadline > now {
            return None;
        }
        let waker = first.remove();
        self.deadlines.remove(&id);
        self.events += 1;
        Some(waker)
    }
}
