//! What is around a circuit's state: whose it is, how it looks from outside, and who listens.

use std::sync::Arc;

use super::super::callbacks::{BreakerEvent, CallbackId, EventKind};
use super::{BreakerCell, word_of};
use crate::breaker::CircuitState;
use crate::sync::atomic::Ordering;
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
        self.word.store(word_of(&breaker, &self.callbacks), Ordering::Release);
        seen
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
