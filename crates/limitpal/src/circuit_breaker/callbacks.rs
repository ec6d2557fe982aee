//! Whom a circuit breaker tells what happens to it: outside its lock, transitions in their order.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::{Arc, PoisonError};

use crate::breaker::{CircuitState, MoveReason, Transition};
use crate::refusal::CircuitBreakerOpen;
use crate::sync::atomic::{AtomicU8, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::teller::{Event, Teller};

/// What happened to a circuit breaker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BreakerEvent {
    /// It went from one state to another, for this reason.
    Transition(CircuitState, CircuitState, MoveReason),
    /// A call succeeded, and that counted.
    Success,
    /// A call failed, and that counted.
    Failure,
    /// A call was refused, or would have been, in shadow.
    Refused(CircuitBreakerOpen),
}

/// A kind of event, as a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EventKind {
    /// From one state to another.
    Transition = 1,
    /// A success.
    Success = 2,
    /// A failure.
    Failure = 4,
    /// A refusal.
    Refused = 8,
}

impl BreakerEvent {
    /// Returns it as observers hear it.
    fn to_be_told(self, key: &str) -> Option<Event> {
        let key = key.into();
        match self {
            Self::Transition(from, to, reason) => {
                Some(Event::BreakerMoved { key, from, to, reason })
            }
            Self::Refused(refusal) => Some(Event::BreakerRefused { key, refusal }),
            Self::Failure => Some(Event::BreakerFailed { key }),
            Self::Success => None,
        }
    }

    fn kind(self) -> EventKind {
        match self {
            Self::Transition(..) => EventKind::Transition,
            Self::Success => EventKind::Success,
            Self::Failure => EventKind::Failure,
            Self::Refused(_) => EventKind::Refused,
        }
    }
}

/// Names a callback that was added, so that it can be removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallbackId(u64);

/// Is told for which key, where there are keys, and what.
pub(super) type Callback = Arc<dyn Fn(&str, BreakerEvent) + Send + Sync>;

/// The callbacks of one breaker, or of one for each key.
#[derive(Default)]
pub(super) struct Callbacks {
    /// The kinds of events that somebody wants to hear of.
    kinds: AtomicU8,
    told: Mutex<Told>,
    /// Who hears of all of it but successes.
    teller: Teller,
}

#[derive(Default)]
struct Told {
    callbacks: Arc<[Entry]>,
    added: u64,
    /// Transitions that are yet to be told, in their order.
    moves: VecDeque<(Arc<str>, Transition)>,
    /// The process of the thread that tells them. A forked child inherits the note of a thread
    /// that it does not have.
    teller: Option<u32>,
}

#[derive(Clone)]
struct Entry {
    id: CallbackId,
    kind: EventKind,
    callback: Callback,
}

impl Callbacks {
    /// Returns whether somebody wants to hear of such events.
    #[inline]
    pub(super) fn want(&self, kind: EventKind) -> bool {
        self.kinds.load(Ordering::Relaxed) & kind as u8 != 0
            || kind != EventKind::Success && self.teller.is_heard()
    }

    pub(super) fn add(&self, kind: EventKind, callback: Callback) -> CallbackId {
        let mut told = self.lock();
        told.added += 1;
        let entry = Entry { id: CallbackId(told.added), kind, callback };
        let entries = told.callbacks.iter().cloned().chain([entry]).collect();
        let before = self.replace(&mut told, entries);
        let id = CallbackId(told.added);
        drop(told);
        // What is dropped may be the user's own: never under the lock.
        drop(before);
        id
    }

    pub(super) fn remove(&self, id: CallbackId) -> bool {
        let mut told = self.lock();
        let entries: Arc<[Entry]> =
            told.callbacks.iter().filter(|entry| entry.id != id).cloned().collect();
        let is_gone = entries.len() < told.callbacks.len();
        let before = self.replace(&mut told, entries);
        drop(told);
        drop(before);
        is_gone
    }

    fn replace(&self, told: &mut Told, entries: Arc<[Entry]>) -> Arc<[Entry]> {
        let kinds = entries.iter().fold(0, |kinds, entry| kinds | entry.kind as u8);
        self.kinds.store(kinds, Ordering::Relaxed);
        std::mem::replace(&mut told.callbacks, entries)
    }

    /// Tells of an event, at once.
    #[cold]
    pub(super) fn tell(&self, key: &str, event: BreakerEvent) {
        let callbacks = self.lock().callbacks.clone();
        for entry in callbacks.iter().filter(|entry| entry.kind == event.kind()) {
            // It changes nothing for the call that a callback panics; the hook has printed it.
            drop(catch_unwind(AssertUnwindSafe(|| (entry.callback)(key, event))));
        }
        if let Some(event) = event.to_be_told(key).filter(|_| self.teller.is_heard()) {
            self.teller.tell(&event);
        }
    }

    /// Returns who hears of events.
    pub(super) fn teller(&self) -> &Teller {
        &self.teller
    }

    /// Notes transitions, under the lock of the circuit that made them.
    pub(super) fn note(&self, key: &Arc<str>, moves: Vec<Transition>) {
        if self.want(EventKind::Transition) {
            self.lock().moves.extend(moves.into_iter().map(|step| (key.clone(), step)));
        }
    }

    /// Tells what was noted, in its order: one thread at a time, which also tells what the others
    /// note meanwhile.
    pub(super) fn deliver(&self) {
        let own = Some(process::id());
        let mut told = self.lock();
        if told.teller == own {
            return;
        }
        told.teller = own;
        while let Some((key, (from, to, why))) = told.moves.pop_front() {
            drop(told);
            self.tell(&key, BreakerEvent::Transition(from, to, why));
            told = self.lock();
        }
        told.teller = None;
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // No code of the user's runs under the lock.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").field("count", &self.lock().callbacks.len()).finish()
    }
}
