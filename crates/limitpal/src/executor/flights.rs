//! Equal calls in flight: the first makes the run, the others wait for what it gives.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};

use crate::clock::{SharedClock, unparker};

/// The calls in flight, by what tells them apart; `A` is what comes of one.
pub(super) struct Flights<A>(Mutex<HashMap<Box<str>, Arc<Flight<A>>>>);

/// One run, and who waits for it.
pub(super) struct Flight<A> {
    /// What was forgotten since is not waited for.
    epoch: u64,
    /// The thread that is blocked by the run, which cannot wait for itself.
    thread: Option<ThreadId>,
    state: Mutex<State<A>>,
}

struct State<A> {
    landed: Option<Landed<A>>,
    wakers: Vec<(u64, Waker)>,
    next: u64,
}

/// How a flight ends.
pub(super) enum Landed<A> {
    /// Its run came to this.
    Answer(Arc<A>),
    /// Whoever made the run is gone without an answer: another has to.
    Abandoned,
}

/// What one does who calls.
pub(super) enum Role<'f, A> {
    /// Make the run.
    Leads(Lead<'f, A>),
    /// Wait for the run of another.
    Waits(Arc<Flight<A>>),
    /// Make a run of one's own: it is one's own thread that makes the other.
    Alone,
}

/// Whoever makes the run. Dropped, it has abandoned it.
pub(super) struct Lead<'f, A> {
    flights: &'f Flights<A>,
    call: &'f str,
    flight: Arc<Flight<A>>,
}

impl<A> Flights<A> {
    /// Joins the flight of this call that began in this epoch, or begins one.
    pub(super) fn join<'f>(&'f self, call: &'f str, epoch: u64, blocks: bool) -> Role<'f, A> {
        let thread = blocks.then(|| thread::current().id());
        let mut flights = self.flights();
        if let Some(flight) = flights.get(call).filter(|flight| flight.epoch == epoch) {
            if thread.is_some() && flight.thread == thread {
                return Role::Alone;
            }
            return Role::Waits(Arc::clone(flight));
        }
        let state = State { landed: None, wakers: Vec::new(), next: 0 };
        let flight = Arc::new(Flight { epoch, thread, state: Mutex::new(state) });
        let before = flights.insert(call.into(), Arc::clone(&flight));
        drop(flights);
        drop(before);
        Role::Leads(Lead { flights: self, call, flight })
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Flight<A>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Default for Flights<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A> Lead<'_, A> {
    /// Ends the flight with what its run came to.
    pub(super) fn land(self, answer: &Arc<A>) {
        self.end(Landed::Answer(Arc::clone(answer)));
    }

    fn end(&self, landed: Landed<A>) {
        let mut flights = self.flights.flights();
        let is_own = |flight: &Arc<Flight<A>>| Arc::ptr_eq(flight, &self.flight);
        let gone = flights.get(self.call).is_some_and(is_own).then(|| flights.remove(self.call));
        drop(flights);
        drop(gone);
        let mut state = self.flight.state();
        if state.landed.is_some() {
            return;
        }
        state.landed = Some(landed);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl<A> Drop for Lead<'_, A> {
    fn drop(&mut self) {
        self.end(Landed::Abandoned);
    }
}

impl<A> Flight<A> {
    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end.
    pub(super) fn landing(&self) -> Landing<'_, A> {
        Landing { flight: self, place: None }
    }

    /// Blocks the thread until the end.
    pub(super) fn landing_blocking(&self, clock: &SharedClock) -> Landed<A> {
        let (waker, mut alarm) = (unparker(), clock.alarm(None));
        let mut landing = self.landing();
        loop {
            if let Some(landed) = landing.claim(&waker) {
                return landed;
            }
            alarm.park(&waker);
        }
    }
}

/// Waits for the end of a flight.
pub(super) struct Landing<'l, A> {
    flight: &'l Flight<A>,
    /// Under which number its waker is kept.
    place: Option<u64>,
}

impl<A> Landing<'_, A> {
    /// Returns the end if it has come, else keeps the waker until it does.
    fn claim(&mut self, waker: &Waker) -> Option<Landed<A>> {
        // Cloned here: a waker is the executor's code, and runs under no lock.
        let waker = waker.clone();
        let mut state = self.flight.state();
        match &state.landed {
            Some(Landed::Answer(answer)) => return Some(Landed::Answer(Arc::clone(answer))),
            Some(Landed::Abandoned) => return Some(Landed::Abandoned),
            None => {}
        }
        let before = self.place.and_then(|place| leave(&mut state, place));
        let place = state.next;
        state.next += 1;
        state.wakers.push((place, waker));
        self.place = Some(place);
        drop(state);
        drop(before);
        None
    }
}

fn leave<A>(state: &mut State<A>, place: u64) -> Option<Waker> {
    let rank = state.wakers.iter().position(|(other, _)| *other == place)?;
    Some(state.wakers.remove(rank).1)
}

impl<A> Future for Landing<'_, A> {
    type Output = Landed<A>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Landed<A>> {
        self.claim(context.waker()).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<A> Drop for Landing<'_, A> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut state = self.flight.state();
            let waker = leave(&mut state, place);
            drop(state);
            drop(waker);
        }
    }
}
