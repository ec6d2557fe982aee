//! Waiting for one's turn: the two loops, blocking and async, that every wait in Rust goes through.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::ask::Ask;
use super::keyed::Keyed;
use super::part::Part;
use super::quota::Quota;
use super::sure;
use crate::clock::{SharedClock, Sleep, unparker};
use crate::store::{Grant, Pending, Place, Request, Turn};
use crate::time::Instant;

impl Keyed<SharedClock> {
    /// Takes, now or later, for whoever gives nothing back of what is there at once.
    #[inline]
    pub(super) fn enter(&self, ask: Ask<'_>, timeout: Option<Duration>, fixed: bool) -> Turn<()> {
        let key = sure(self.fingerprint(ask.key()));
        let read = || crate::clock::TimeSource::now(self.source());
        let request = request(ask, timeout, fixed);
        sure(self.store().enter(key, request, read))
    }

    /// As `enter`, for whoever may give it back.
    pub(super) fn reserve(&self, ask: Ask<'_>, timeout: Option<Duration>, fixed: bool) -> Turn {
        let key = sure(self.fingerprint(ask.key()));
        let read = || crate::clock::TimeSource::now(self.source());
        let request = request(ask, timeout, fixed);
        sure(self.store().reserve(key, request, read))
    }

    /// Sleeps until the turn comes; returns what it has acquired.
    pub(super) async fn come(&self, place: Place) -> Quota {
        come(self, place).await
    }

    /// Returns the seat of one who waits: a future that is ready when the turn comes.
    pub(super) fn seat(&self, place: Place) -> Seat<'_> {
        Seat::new(self, place)
    }
}

/// Returns what one asks for who is ready to wait for one limiter.
#[inline]
pub(super) fn request(ask: Ask<'_>, timeout: Option<Duration>, fixed: bool) -> Request {
    Request { cost: ask.cost(), timeout, fixed, ticket: None }
}

/// Sleeps until the turn comes; returns what it has acquired.
pub(super) async fn come<P: Part<SharedClock> + ?Sized>(part: &P, place: Place) -> Quota {
    let seat = Seat::new(part, place);
    let start = part.source().now();
    let grant = seat.await;
    Quota::one(grant, part.source().now().saturating_duration_since(start))
}

/// Blocks the thread; otherwise as `come`.
pub(super) fn come_blocking<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    wait: Duration,
) -> Quota {
    let seat = Seat::new(part, place);
    let start = part.source().now();
    let grant = seat.turn_blocking(wait);
    Quota::one(grant, part.source().now().saturating_duration_since(start))
}

/// A place in line that is left when it is dropped; awaited, it is ready when its turn comes.
pub(super) struct Seat<'l, P: Part<SharedClock> + ?Sized = Keyed<SharedClock>> {
    part: &'l P,
    place: Option<Place>,
    nap: Option<Nap>,
}

impl<P: Part<SharedClock> + ?Sized> Future for Seat<'_, P> {
    type Output = Grant;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Grant> {
        let place = self.place.expect("a turn is not polled once it has come");
        loop {
            let pending = match self.claim(place, Some(context.waker())) {
                Ok(grant) => return Poll::Ready(grant),
                Err(pending) => pending,
            };
            if self.nap.as_ref().is_none_or(|nap| !pending.has_waker || nap.due != pending.due) {
                let nap = self.lie_down(place, context.waker().clone());
                self.nap = Some(nap);
            }
            let Some(Nap { sleep, .. }) = &mut self.nap else { continue };
            if Pin::new(sleep).poll(context).is_pending() {
                return Poll::Pending;
            }
            self.nap = None;
        }
    }
}

/// A sleep, and what it waits for.
struct Nap {
    due: Instant,
    sleep: Sleep,
}

impl<'l, P: Part<SharedClock> + ?Sized> Seat<'l, P> {
    pub(super) fn new(part: &'l P, place: Place) -> Self {
        Self { part, place: Some(place), nap: None }
    }

    pub(super) fn turn_blocking(mut self, wait: Duration) -> Grant {
        let (part, place) = (self.part, self.place.expect("a turn is awaited once"));
        if part.source().parks() {
            return self.park();
        }
        // A clock of the user's that panics while it sleeps loses no place: the seat leaves it.
        part.source().sleep_blocking(wait);
        self.place = None;
        part.arrived(place)
    }

    fn lie_down(&self, place: Place, waker: Waker) -> Nap {
        let Pending { due, wait, .. } = self.arm(place, waker);
        Nap { due, sleep: self.part.source().sleep_until(due, wait) }
    }

    fn park(&mut self) -> Grant {
        let place = self.place.expect("a turn is not awaited once it has come");
        let waker = unparker();
        loop {
            if let Ok(grant) = self.claim(place, None) {
                return grant;
            }
            let Pending { wait, .. } = self.arm(place, waker.clone());
            self.part.source().park(wait);
        }
    }

    fn claim(&mut self, place: Place, waker: Option<&Waker>) -> Result<Grant, Pending> {
        let claimed = sure(self.part.claim(place, waker));
        if claimed.is_ok() {
            self.place = None;
        }
        claimed
    }

    fn arm(&self, place: Place, waker: Waker) -> Pending {
        sure(self.part.arm(place, waker))
    }
}

impl<P: Part<SharedClock> + ?Sized> Drop for Seat<'_, P> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.part.leave(place);
        }
    }
}
