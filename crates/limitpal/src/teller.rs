//! Telling observers what happens, so that they can neither break nor slow a call of others.
//!
//! Whoever tells has given back every lock. Where nobody listens, nothing is built: a flag is read.

mod event;
mod growth;

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

pub use self::event::{Event, RunEnd};
use self::growth::Growth;
use crate::config::InvalidConfig;
use crate::retry_after::RetryAfter;
use crate::sync::atomic::{AtomicBool, Ordering};

/// What hears of events.
pub type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// Who listens to one limiter, breaker or executor.
#[derive(Default)]
pub struct Teller {
    /// Whether anybody may listen. Put right by the first call after the last one has gone.
    heard: AtomicBool,
    room: Arc<Mutex<Room>>,
}

#[derive(Default)]
struct Room {
    listeners: Arc<[Listener]>,
    next: u64,
    growth: Growth,
    /// Of how many evictions has been told.
    evicted_live: u64,
}

struct Listener {
    id: u64,
    near_limit: f64,
    observer: Observer,
    /// How often it has panicked.
    panics: Arc<std::sync::atomic::AtomicU64>,
}

/// What one call came to, as far as observers care.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'k> {
    /// As the caller gave it.
    pub key: &'k str,
    /// How many permits were asked for.
    pub cost: u64,
    /// How many permits there are in all.
    pub limit: u32,
    /// How many of them were left before.
    pub before: u32,
    /// How many of them are left now.
    pub after: u32,
    /// When to come back, for one who was refused.
    pub refused: Option<RetryAfter>,
    /// Whether the key was not remembered.
    pub is_new: bool,
    /// How many keys in use have been forgotten so far.
    pub evicted_live: u64,
}

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

impl Teller {
    /// Returns whether anybody may listen.
    #[inline(always)] // one look at one byte
    pub fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Adds an observer; of evictions before now it does not hear.
    pub fn observe(
        &self,
        near_limit: f64,
        observer: Observer,
        evicted_live: u64,
    ) -> Result<Subscription, InvalidConfig> {
        if !(near_limit > 0.0 && near_limit <= 1.0) {
            let advice = "give a share of the limit, above 0 and 1 at most";
            return Err(InvalidConfig::new("near_limit", near_limit, advice));
        }
        let mut room = enter(&self.room);
        if room.listeners.is_empty() {
            (room.growth, room.evicted_live) = (Growth::default(), evicted_live);
        }
        let id = room.next;
        room.next += 1;
        let panics = Arc::default();
        let listener = Listener { id, near_limit, observer, panics: Arc::clone(&panics) };
        let others = room.listeners.iter().map(Listener::again);
        let listeners = others.chain([listener]).collect();
        let before = std::mem::replace(&mut room.listeners, listeners);
        self.heard.store(true, Ordering::Relaxed);
        drop(room);
        drop(before);
        Ok(Subscription { room: Arc::downgrade(&self.room), id, panics })
    }

    /// Tells of what a call came to. To be called under no lock.
    #[cold]
    pub fn saw(&self, seen: &Seen<'_>) {
        let mut room = enter(&self.room);
        if room.listeners.is_empty() {
            self.heard.store(false, Ordering::Relaxed);
            return;
        }
        let events = room.events(seen);
        let is_near = |listener: &Listener| seen.crosses(listener.near_limit);
        if events.is_empty() && !room.listeners.iter().any(is_near) {
            return;
        }
        let listeners = room.listeners.clone();
        drop(room);
        for listener in &*listeners {
            events.iter().for_each(|event| listener.hear(event));
            if is_near(listener) {
                listener.hear(&seen.near_limit(listener.near_limit));
            }
        }
    }
}

impl Teller {
    /// Tells of an event that whoever tells has put together. To be called under no lock.
    #[cold]
    pub fn tell(&self, event: &Event) {
        let room = enter(&self.room);
        let listeners = room.listeners.clone();
        if listeners.is_empty() {
            // Under the lock, or it might be that of one who begins to listen just now.
            self.heard.store(false, Ordering::Relaxed);
        }
        drop(room);
        listeners.iter().for_each(|listener| listener.hear(event));
    }
}

impl Room {
    /// Returns what all hear of.
    fn events(&mut self, seen: &Seen<'_>) -> Vec<Event> {
        let mut events = Vec::new();
        let evicted = seen.evicted_live.saturating_sub(self.evicted_live);
        if evicted > 0 {
            self.evicted_live = seen.evicted_live;
            let (key, total) = (seen.key.into(), seen.evicted_live);
            events.push(Event::EvictedLive { key, evicted, total });
        }
        if let Some(retry_after) = seen.refused {
            let (key, cost) = (seen.key.into(), seen.cost);
            events.push(Event::Refused { key, cost, retry_after });
        }
        if let Some(new_keys) = self.growth.count(seen.key, seen.is_new) {
            let calls = growth::CALLS;
            events.push(Event::KeysGrowLikeCalls { calls, new_keys });
        }
        events
    }
}

impl Seen<'_> {
    /// Returns whether use has just come up to a share of the limit.
    fn crosses(&self, share: f64) -> bool {
        let used = |left: u32| f64::from(self.limit.saturating_sub(left)) / f64::from(self.limit);
        self.refused.is_none() && used(self.before) < share && share <= used(self.after)
    }

    fn near_limit(&self, share: f64) -> Event {
        let (limit, used) = (self.limit, self.limit.saturating_sub(self.after));
        Event::NearLimit { key: self.key.into(), used, limit, share }
    }
}

impl Listener {
    fn again(&self) -> Self {
        let (observer, panics) = (Arc::clone(&self.observer), Arc::clone(&self.panics));
        Self { id: self.id, near_limit: self.near_limit, observer, panics }
    }

    /// Lets the observer hear; its panic ends here. What an observer itself sets off is not told,
    /// or it might hear of its own calls for ever.
    fn hear(&self, event: &Event) {
        if TELLING.replace(true) {
            return;
        }
        if catch_unwind(AssertUnwindSafe(|| (self.observer)(event))).is_err() {
            self.panics.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        TELLING.set(false);
    }
}

/// An observer that listens. It does so until [`close`](Self::close), or for as long as what it
/// listens to exists; dropping this changes nothing.
#[derive(Clone)]
pub struct Subscription {
    room: Weak<Mutex<Room>>,
    id: u64,
    panics: Arc<std::sync::atomic::AtomicU64>,
}

impl Subscription {
    /// Ends it: calls that begin from now on are not told of. A call on another thread that is
    /// under way may still be.
    pub fn close(&self) {
        let Some(room) = self.room.upgrade() else { return };
        let mut room = enter(&room);
        let stays = |listener: &&Listener| listener.id != self.id;
        let listeners = room.listeners.iter().filter(stays).map(Listener::again).collect();
        let before = std::mem::replace(&mut room.listeners, listeners);
        drop(room);
        // The observer is dropped under no lock: it may be anything.
        drop(before);
    }

    /// Returns whether it has not been closed, and what it listens to exists.
    pub fn is_open(&self) -> bool {
        let Some(room) = self.room.upgrade() else { return false };
        enter(&room).listeners.iter().any(|listener| listener.id == self.id)
    }

    /// Returns how often the observer has panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn enter(room: &Mutex<Room>) -> MutexGuard<'_, Room> {
    room.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Teller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Teller").field("is_heard", &self.is_heard()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("is_open", &self.is_open())
            .field("panics", &self.panics())
            .finish_non_exhaustive()
    }
}
