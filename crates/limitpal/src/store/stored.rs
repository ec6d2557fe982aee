//! What a store does for each algorithm in its own way: for those who wait, and without a lock.

use std::fmt;
use std::task::Waker;

use super::Full;
use super::answer::{Grant, Pending, Place, Request, Turn};
use super::shard::{Settings, Shard};
use crate::algorithm::{Carry, Mark, Saved};
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// An algorithm whose states a store keeps. What it says here of a shard is said under its lock:
/// a waker is handed out, to be woken or dropped outside.
pub trait Stored: Saved + Sized {
    /// Those who wait for one key.
    type Line: fmt::Debug + Send + 'static;
    /// The only bucket, where there is one for everybody.
    type Shortcut: Shortcut<Self>;
    /// Places in front of the locks.
    type Front: Front<Self>;
    /// Whether there is such a shortcut.
    const ONE_WORD: bool;

    /// Returns what went from a key for which somebody waits, where its state does not say.
    fn facts<'l>(&self, line: &'l mut Self::Line, now: Instant) -> Option<&'l Self::State>;

    /// Returns a state as it is by these settings, told by others; never on the generous side.
    fn converted(&self, old: &Self, state: &Self::State, now: Instant) -> Self::State;

    /// Takes now though the state has refused, if those who wait leave room.
    fn take_beside(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Grant>;

    /// Returns when a take would succeed, if nobody else takes.
    fn retry_in(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> RetryAfter;

    /// Puts an answer together with how things stand, those who wait included.
    fn standing(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        answer: RetryAfter,
        now: Instant,
    ) -> Decision;

    /// Takes, now or later; refuses what would wait longer than the timeout, without taking.
    fn reserve(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> Result<Turn, Full>;

    /// Says how long a reservation would have to wait.
    fn quote(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        request: Request,
        now: Instant,
    ) -> RetryAfter;

    /// Keeps the waker of one who waits; returns the waker it had, and how long to sleep.
    fn arm(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        place: Place,
        waker: Option<Waker>,
        now: Instant,
    ) -> (Option<Waker>, Pending);

    /// Returns how long one who waits still has to, if at all. It is refused if that is longer now
    /// than it would wait; then it is to leave.
    fn still(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        place: Place,
        waker: Option<&Waker>,
        now: Instant,
    ) -> Option<Pending>;

    /// Lets one who waits go. The first waker is the next one's, to be woken.
    fn go(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        place: Place,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]);

    /// Lets one who waits leave. The first waker is the next one's, to be woken.
    fn leave(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2];

    /// Gives back what a take can still give; returns the waker of one who sleeps too long by it.
    fn give_back(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        grant: Grant,
        now: Instant,
    ) -> Option<Waker>;

    /// Returns when one goes who slept for as long as it was told, if it was pushed back since; then
    /// it sleeps on until then. Refused as by `still`.
    fn pushed_back(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        place: Place,
        now: Instant,
    ) -> Option<Pending>;

    /// Puts a key's state and those who wait for it from old settings to new ones, and to when it
    /// opens; without `carry` the settings are the same. Those who would now go too late or never
    /// are turned away. Returns whom to wake.
    fn rebuild(
        shard: &mut Shard<Self>,
        settings: (&Settings<Self>, &Settings<Self>),
        key: Fingerprint,
        carry: Option<Carry>,
        now: Instant,
    ) -> Vec<Waker>;

    /// Gives back so much of the latest takes, as far as that can still be.
    fn return_some(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Waker>;

    /// Forgets one key; those who wait for it go in their order, as if it were new.
    fn reset(
        shard: &mut Shard<Self>,
        settings: &Settings<Self>,
        key: Fingerprint,
        now: Instant,
    ) -> Option<Waker>;
}

/// The only bucket of a limiter that tells no keys apart, where a take changes it without a lock.
pub trait Shortcut<A: Stored>: fmt::Debug + Send + Sync + Sized {
    /// Makes one as new, if there is such a thing.
    fn new(bucket: &A) -> Option<Self>;

    /// Takes if `take` finds room. A reading that lost a race may refuse what a later one would
    /// not, and never the reverse. It counts whoever takes; and whoever does not, if that is final.
    fn change(
        &self,
        cost: u64,
        is_final: bool,
        take: impl Fn(&mut A::State) -> Option<Mark>,
    ) -> Result<Option<Grant>, Held>;

    /// Gives the shard the state; from here on all go through its lock.
    fn hold(&self, shard: &mut Shard<A>, settings: &Settings<A>);

    /// Takes the state from the shard, unless there is more to know than that.
    fn release(&self, shard: &Shard<A>);

    /// Returns the epoch of a take, of which a grant may have the last bits alone.
    fn epoch(&self, shard: &Shard<A>, told: u64) -> u64;

    /// Returns how many were refused without the lock.
    fn refused(&self) -> u64;
}

/// Places in front of the shards' locks, of which each has one for some of its keys. Nothing is
/// known of such a key but its state.
pub trait Front<A: Stored>: fmt::Debug + Send + Sync + Sized {
    /// Makes places that are nobody's, if there is such a thing.
    fn new(shards: usize) -> Option<Self>;

    /// Takes from a key that has a place, if `take` finds room and nobody else comes between.
    fn take(
        &self,
        key: Fingerprint,
        shard: usize,
        take: impl FnOnce(&mut A::State) -> Option<Mark>,
    ) -> bool;

    /// Gives the shard the state of one key, and counts who took: all go through its lock now.
    fn hold(&self, shard: &mut Shard<A>, index: usize, key: Fingerprint);

    /// Gives the shard the states of all its keys.
    fn hold_all(&self, shard: &mut Shard<A>, index: usize);

    /// Gives a key that has just been asked for a place, or not yet.
    fn settle(&self, shard: &mut Shard<A>, index: usize, key: Fingerprint);
}

/// It is held: go through the lock.
#[derive(Debug)]
pub struct Held;
