//! What is around a circuit's state: whose it is, how it looks from outside, and who listens.

use std::sync::Arc;

use super::super::callbacks::{BreakerEvent, CallbackId, EventKind};
use super::{BreakerCell, COUNTS, NUMBER};
use crate::breaker::{BreakerMode, CircuitState, Counts, Permit};
use crate::sync::atomic::Ordering;
use crate::teller::{Event, Teller};
use crate::time::Instant;

impl BreakerCell {
    pub(in super::super) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Returns the state, and whether nothing is remembered that a new one would not have; without
    /// the time, as it was last seen. Transitions are told when it is next used.
    pub(in super::super) fn glance(&self, now: Option<Instant>) -> (CircuitState, bool) {
        let mut breaker = self.lock();
        let seen = match now {
            Some(now) => (breaker.state(now), breaker.is_new(now)),
            None => (breaker.word(), false),
        };
        self.publish(&breaker);
        seen
    }

    /// Writes down what is remembered; none if that is nothing.
    pub(in super::super) fn saved<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Option<Vec<i64>>, E> {
        self.change_at(read, |breaker, now| (!breaker.is_new(now)).then(|| breaker.save(now)))
    }

    /// Goes on from what was written down. Its move is told when it is next used.
    pub(in super::super) fn load_quietly(&self, numbers: &[i64], now: Instant) -> Option<()> {
        let mut breaker = self.lock();
        breaker.load(numbers, now)?;
        self.word.store(self.word_of(&breaker), Ordering::Release);
        Some(())
    }

    /// Counts a success of which the machine need not hear, if it is one.
    #[cold]
    pub(super) fn counts(&self, permit: Option<Permit>) -> bool {
        let Some(successes) = &self.successes else { return false };
        let word = self.word.load(Ordering::Acquire);
        let is_good = permit.is_none_or(|permit| permit.number() == word >> NUMBER);
        let counts = word & COUNTS != 0 && is_good;
        if counts {
            successes.count();
        }
        counts
    }

    /// Returns how many such there were; none where they are not counted.
    pub(in super::super) fn healthy_successes(&self) -> Option<u64> {
        let heard = self.settings.hears_successes().then_some(0);
        self.successes.as_ref().map(|successes| successes.sum()).or(heard)
    }

    /// Returns what was counted, as it was last seen.
    pub(in super::super) fn counted(&self) -> (CircuitState, BreakerMode, Counts) {
        let breaker = self.lock();
        (breaker.word(), breaker.mode(), breaker.counts)
    }

    /// Returns how many were refused without the machine.
    pub(in super::super) fn refused_plainly(&self) -> u64 {
        self.open.refused()
    }

    /// Adds a callback, which is told for which key, and what.
    pub fn listen(
        &self,
        kind: EventKind,
        callback: impl Fn(&str, BreakerEvent) + Send + Sync + 'static,
    ) -> CallbackId {
        // Where there are many keys they share their callbacks; these are about this one.
        let own = self.key.clone();
        let of_own = move |key: &str, event| {
            if *key == *own {
                callback(key, event);
            }
        };
        let id = self.callbacks.add(kind, Arc::new(of_own));
        self.refresh();
        id
    }

    /// Returns who hears of what happens: to this circuit and to those that share its callbacks.
    pub fn teller(&self) -> &Teller {
        self.callbacks.teller()
    }

    /// Returns whether an event is about this circuit.
    pub fn is_about(&self, event: &Event) -> bool {
        match event {
            Event::BreakerMoved { key, .. }
            | Event::BreakerRefused { key, .. }
            | Event::BreakerFailed { key } => *key == self.key,
            _ => false,
        }
    }

    /// Removes a callback, and returns whether it was there.
    pub fn remove_callback(&self, id: CallbackId) -> bool {
        let was_there = self.callbacks.remove(id);
        self.refresh();
        was_there
    }

    /// Brings the word up to date after the callbacks have changed.
    pub(in super::super) fn refresh(&self) {
        self.change(|_| ());
    }

    #[inline]
    pub(super) fn tell(&self, kind: EventKind, event: BreakerEvent) {
        if self.callbacks.want(kind) {
            self.callbacks.tell(&self.key, event);
        }
    }
}
