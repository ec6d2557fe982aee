//! A circuit breaker's state as threads share it: behind a lock that a healthy call never takes.

mod around;
mod open;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::open::Open;
use super::callbacks::{BreakerEvent, Callbacks, EventKind};
use super::stats::Successes;
use crate::breaker::{Breaker, BreakerMode, BreakerSettings, CircuitState, Permit};
use crate::outcome::Outcome;
use crate::refusal::CircuitBreakerOpen;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};
use crate::time::Instant;

/// The shared state of one circuit breaker, for those who write a loop of their own.
///
/// Every method that may need the time takes `read`. It is called only when the time matters
/// (never while the circuit is closed and a success would change nothing), before the lock is
/// taken, and what it fails with comes out unchanged.
#[derive(Debug)]
pub struct BreakerCell {
    /// What a healthy call needs to know, always as the machine has it: see [`word_of`].
    word: AtomicU64,
    /// Whether a call's time matters.
    times_calls: bool,
    /// The successes of a healthy circuit, where they are counted.
    successes: Option<Box<Successes>>,
    /// How it refuses, while the word says that it is open.
    open: Open,
    breaker: Mutex<Breaker>,
    settings: Arc<BreakerSettings>,
    callbacks: Arc<Callbacks>,
    /// Whose circuit it is, where there is one for each key.
    key: Arc<str>,
}

/// Set in the word while the circuit is closed.
const CLOSED: u64 = 1;
/// Set in the word while the circuit is closed and a success would change nothing.
const HEALTHY: u64 = 2;
/// Set in its place where each success is counted all the same.
const COUNTS: u64 = 4;
/// Set in the word while the circuit is open, and refuses.
const OPEN: u64 = 8;
/// Above them stands the number of the permit that calls share, or how often it has moved.
const NUMBER: u32 = 4;

impl BreakerCell {
    /// Makes a closed circuit.
    pub fn new(settings: BreakerSettings) -> Self {
        Self::of_key(Arc::new(settings), Arc::default(), "".into())
    }

    /// Makes the closed circuit of one key among others.
    pub(super) fn of_key(
        settings: Arc<BreakerSettings>,
        callbacks: Arc<Callbacks>,
        key: Arc<str>,
    ) -> Self {
        let breaker = Breaker::new(settings.clone());
        let times_calls = settings.times_calls();
        let successes = settings.count_successes().then(Box::default);
        let (word, breaker) = (AtomicU64::new(0), Mutex::new(breaker));
        let open = Open::new();
        let cell = Self { word, times_calls, successes, open, breaker, settings, callbacks, key };
        cell.refresh();
        cell
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> &BreakerSettings {
        &self.settings
    }

    /// Returns whether a call's time matters: then whoever calls hands in when it began.
    #[inline]
    pub fn times_calls(&self) -> bool {
        self.times_calls
    }

    /// Lends a permit for one call, or refuses.
    ///
    /// Report with [`record`](Self::record) or [`give_back`](Self::give_back).
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn admit<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        match self.closed_permit() {
            Some(permit) => Ok(Ok(permit)),
            None => self.ask(read, Breaker::admit),
        }
    }

    /// Returns the permit if it is still good, and otherwise asks for another.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the permit is then as it was.
    pub fn renew<E>(
        &self,
        permit: Permit,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        match self.closed_permit() {
            Some(permit) => Ok(Ok(permit)),
            None => self.ask(read, |breaker, now| breaker.renew(permit, now)),
        }
    }

    /// Hears how the call under this permit went, and takes the permit back.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the permit is then given back.
    #[inline]
    pub fn record<E>(
        &self,
        permit: Permit,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.record_since(permit, outcome, None, read)
    }

    /// As [`record`](Self::record), of a call of which is known when it began.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the permit is then given back.
    #[inline]
    pub fn record_since<E>(
        &self,
        permit: Permit,
        outcome: Outcome,
        began: Option<Instant>,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        if outcome == Outcome::Success && (self.is_healthy() || self.counts(Some(permit))) {
            return Ok(());
        }
        self.hear(outcome, read, move |breaker, now| {
            let took = began.map(|began| now.saturating_duration_since(began));
            breaker.record(permit, outcome, took, now)
        })
        .inspect_err(|_| self.give_back(permit))
    }

    /// Takes a permit back whose call counts as neither success nor failure.
    #[inline]
    pub fn give_back(&self, permit: Permit) {
        // In the closed state nobody waits for a permit.
        if self.closed_permit().is_none() {
            self.change(|breaker| breaker.give_back(permit));
        }
    }

    /// As `give_back`, of a call that was made and has ended as neither.
    #[cold]
    pub fn ignore(&self, permit: Permit) {
        self.change(|breaker| breaker.ignore(permit));
    }

    /// Returns whether a call may go whose caller will report without showing a permit.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn allow<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<bool, E> {
        match self.closed_permit() {
            Some(_) => Ok(true),
            None => Ok(self.ask(read, Breaker::allow)?.is_ok()),
        }
    }

    /// Hears how a call went whose caller shows no permit.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn record_bare<E>(
        &self,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.record_bare_after(outcome, None, read)
    }

    /// As [`record_bare`](Self::record_bare), of a call of which is known how long it took.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    #[inline]
    pub fn record_bare_after<E>(
        &self,
        outcome: Outcome,
        took: Option<Duration>,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        if outcome == Outcome::Success && (self.is_healthy() || self.counts(None)) {
            return Ok(());
        }
        self.hear(outcome, read, move |breaker, now| breaker.record_bare(outcome, took, now))
    }

    /// Returns the state at the time that `read` tells.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn state<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<CircuitState, E> {
        match self.closed_permit() {
            Some(_) => Ok(CircuitState::Closed),
            None => self.change_at(read, Breaker::state),
        }
    }

    /// Returns in which mode it is run.
    pub fn mode(&self) -> BreakerMode {
        self.lock().mode()
    }

    /// Has it run in another mode.
    ///
    /// # Errors
    ///
    /// What `read` fails with; the mode is then as it was.
    pub fn set_mode<E>(
        &self,
        mode: BreakerMode,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        self.change_at(read, |breaker, now| breaker.set_mode(mode, now))
    }

    /// Closes the circuit and forgets all counts and permits. The mode stays.
    pub fn reset(&self) {
        self.change(Breaker::reset);
    }

    /// Returns the permit that all calls share while the circuit is closed. Nobody misses it if it
    /// is never given back.
    #[inline]
    pub fn closed_permit(&self) -> Option<Permit> {
        let word = self.word.load(Ordering::Acquire);
        (word & CLOSED != 0).then_some(Permit::numbered(word >> NUMBER))
    }

    /// As [`closed_permit`](Self::closed_permit), for a caller who could not say when a call began.
    #[inline]
    pub fn untimed_permit(&self) -> Option<Permit> {
        if self.times_calls { None } else { self.closed_permit() }
    }

    /// Returns the permit that calls share while a success would change nothing. Then no call's
    /// time matters either.
    #[inline]
    pub(super) fn healthy_permit(&self) -> Option<Permit> {
        let word = self.word.load(Ordering::Acquire);
        (word & HEALTHY != 0).then_some(Permit::numbered(word >> NUMBER))
    }

    /// Returns whether a success would change nothing.
    fn is_healthy(&self) -> bool {
        self.word.load(Ordering::Acquire) & HEALTHY != 0
    }

    /// Asks the machine for a permit, and tells of it if it refuses.
    #[inline]
    fn ask<E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        ask: impl FnOnce(&mut Breaker, Instant) -> Result<Permit, CircuitBreakerOpen>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        let now = read()?;
        // What happens most often while others wait for an answer changes nothing.
        if let Some(refusal) = self.refuses_plainly(now) {
            self.tell(EventKind::Refused, BreakerEvent::Refused(refusal));
            return Ok(Err(refusal));
        }
        let mut first = Some(now);
        self.ask_with_care(|| first.take().map_or_else(&mut read, Ok), ask)
    }

    /// As [`ask`](Self::ask), where the machine may have to move. In shadow a call is let through
    /// that it refuses.
    #[cold]
    fn ask_with_care<E>(
        &self,
        read: impl FnMut() -> Result<Instant, E>,
        ask: impl FnOnce(&mut Breaker, Instant) -> Result<Permit, CircuitBreakerOpen>,
    ) -> Result<Result<Permit, CircuitBreakerOpen>, E> {
        let (lent, mode) =
            self.change_at(read, |breaker, now| (ask(breaker, now), breaker.mode()))?;
        let Err(refusal) = lent else { return Ok(lent) };
        self.tell(EventKind::Refused, BreakerEvent::Refused(refusal));
        Ok(if mode == BreakerMode::Shadow { Ok(Permit::UNCOUNTED) } else { lent })
    }

    /// Has the machine hear of a call, and tells of it if it counted.
    #[cold]
    fn hear<E>(
        &self,
        outcome: Outcome,
        read: impl FnMut() -> Result<Instant, E>,
        hear: impl FnOnce(&mut Breaker, Instant) -> bool,
    ) -> Result<(), E> {
        if self.change_at(read, hear)? {
            match outcome {
                Outcome::Success => self.tell(EventKind::Success, BreakerEvent::Success),
                Outcome::Failure => self.tell(EventKind::Failure, BreakerEvent::Failure),
            }
        }
        Ok(())
    }

    /// Changes the machine at the present time.
    ///
    /// A reading that is older than what the machine holds may be that of a preempted thread, so
    /// it is read again. Only a fresh reading that is older than what was there before it means
    /// that the clock was set back.
    pub(super) fn change_at<R, E>(
        &self,
        mut read: impl FnMut() -> Result<Instant, E>,
        change: impl FnOnce(&mut Breaker, Instant) -> R,
    ) -> Result<R, E> {
        let mut seen = None;
        loop {
            let now = read()?;
            let mut breaker = self.lock();
            let ahead = breaker.ahead_of(now);
            if ahead.is_none() || ahead == seen {
                let answer = change(&mut breaker, now);
                self.leave(breaker);
                return Ok(answer);
            }
            seen = ahead;
        }
    }

    /// Changes the machine where the time does not matter.
    fn change(&self, change: impl FnOnce(&mut Breaker)) {
        let mut breaker = self.lock();
        change(&mut breaker);
        self.leave(breaker);
    }

    /// Lets go of the machine, and tells of its transitions.
    #[inline]
    fn leave(&self, breaker: MutexGuard<'_, Breaker>) {
        self.publish(&breaker);
        if breaker.has_moved() {
            self.leave_and_tell(breaker);
        }
    }

    #[cold]
    fn leave_and_tell(&self, mut breaker: MutexGuard<'_, Breaker>) {
        self.callbacks.note(&self.key, breaker.take_moves());
        drop(breaker);
        self.callbacks.deliver();
    }

    /// Returns whether the circuit is closed and healthy, and the permit's number, in one word. Where
    /// somebody wants to hear of successes, each of them changes something.
    pub(super) fn word_of(&self, breaker: &Breaker) -> u64 {
        let counts = self.successes.is_some() && breaker.mode() != BreakerMode::Disabled;
        let healthy = if counts { COUNTS } else { HEALTHY };
        match breaker.closed() {
            Some((number, true)) if !self.callbacks.want(EventKind::Success) => {
                number << NUMBER | CLOSED | healthy
            }
            Some((number, _)) => number << NUMBER | CLOSED,
            None if breaker.open_until().is_some() => breaker.number() << NUMBER | OPEN,
            None => 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        // No code of the user's runs under the lock, so a panic cannot have left it half changed.
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
