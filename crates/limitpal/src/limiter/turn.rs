//! Waiting for one's turn: the two loops, blocking and async, that every wait in Rust goes through.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::ask::Ask;
use super::keyed::Keyed;
use super::part::Part;
use super::quota::Quota;
use super::{sure, told};
use crate::clock::{SharedClock, Sleep, unparker};
use crate::refusal::RateLimitExceeded;
use crate::retry_after::RetryAfter;
use crate::store::{Grant, Pending, Place, Request, Turn};
use crate::time::Instant;

impl Keyed<SharedClock> {
    /// Takes, now or later, for whoever gives nothing back of what is there at once.
    #[inline(always)] // where one waits, the answer would go through memory
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
    pub(super) async fn come(&self, place: Place) -> Result<Quota, RateLimitExceeded> {
        let start = self.source().now();
        let grant = self.seat(place).await?;
        Ok(Quota::one(grant, self.source().now().saturating_duration_since(start)))
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

/// Sleeps until the turn comes, or until the time is over where a wait may become longer.
///
/// # Errors
///
/// The time is over, or the limiter has changed meanwhile, so that its turn would come too late or
/// never.
pub(super) async fn come_within<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    timeout: Option<Duration>,
) -> Result<Quota, RateLimitExceeded> {
    let start = part.source().now();
    let grant = sit(part, place, timeout).await?;
    Ok(Quota::one(grant, part.source().now().saturating_duration_since(start)))
}

/// As `come_within`; of one who gives up is told.
pub(super) async fn come_told<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    ask: Ask<'_>,
    timeout: Option<Duration>,
) -> Result<Quota, RateLimitExceeded> {
    let came = come_within(part, place, timeout).await;
    came.inspect_err(|_| told::gave_up(part, ask.key(), ask.cost()))
}

/// As `come_within`, for a grant.
pub(super) async fn sit<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    timeout: Option<Duration>,
) -> Result<Grant, RateLimitExceeded> {
    let mut seat = Seat::new(part, place);
    let mut timer = timeout.filter(|_| part.waits_may_grow()).map(|timeout| {
        let now = part.source().now();
        part.source().sleep_until(now + timeout, timeout)
    });
    poll_fn(|context| {
        if let Poll::Ready(grant) = Pin::new(&mut seat).poll(context) {
            return Poll::Ready(grant);
        }
        let Some(timer) = &mut timer else { return Poll::Pending };
        timer.as_mut().poll(context).map(|()| Err(OUT_OF_TIME))
    })
    .await
}

/// Blocks the thread; otherwise as `come_within`, told how long the wait is as things stand.
pub(super) fn come_within_blocking<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    times: (Duration, Option<Duration>),
) -> Result<Quota, RateLimitExceeded> {
    let start = part.source().now();
    let grant = sit_out(part, place, times)?;
    Ok(Quota::one(grant, part.source().now().saturating_duration_since(start)))
}

/// As `come_within_blocking`, for a grant.
pub(super) fn sit_out<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    (wait, timeout): (Duration, Option<Duration>),
) -> Result<Grant, RateLimitExceeded> {
    let seat = Seat::new(part, place);
    if part.waits_may_grow() { seat.sit_blocking(timeout) } else { seat.turn_blocking(wait) }
}

/// Others have gone before: nobody can say how many more will.
pub(super) const OUT_OF_TIME: RateLimitExceeded = RateLimitExceeded::new(RetryAfter::Unknown);

/// Blocks the thread; otherwise as `come`.
pub(super) fn come_blocking<P: Part<SharedClock> + ?Sized>(
    part: &P,
    place: Place,
    wait: Duration,
) -> Result<Quota, RateLimitExceeded> {
    let seat = Seat::new(part, place);
    let start = part.source().now();
    let grant = seat.turn_blocking(wait)?;
    Ok(Quota::one(grant, part.source().now().saturating_duration_since(start)))
}

/// A place in line that is left when it is dropped; awaited, it is ready when its turn comes.
pub(super) struct Seat<'l, P: Part<SharedClock> + ?Sized = Keyed<SharedClock>> {
    part: &'l P,
    place: Option<Place>,
    nap: Option<Nap>,
}

impl<P: Part<SharedClock> + ?Sized> Future for Seat<'_, P> {
    type Output = Result<Grant, RateLimitExceeded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let place = self.place.expect("a turn is not polled once it has come");
        loop {
            let pending = match self.claim(place, Some(context.waker())) {
                Ok(grant) => return Poll::Ready(Ok(grant)),
                Err(pending) => pending,
            };
            if let Some(refused) = pending.refused {
                return Poll::Ready(Err(RateLimitExceeded::new(refused)));
            }
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

    fn turn_blocking(mut self, wait: Duration) -> Result<Grant, RateLimitExceeded> {
        let (part, place) = (self.part, self.place.expect("a turn is awaited once"));
        if part.source().parks() {
            return self.park();
        }
        let mut wait = wait;
        loop {
            // A clock of the user's that panics while it sleeps loses no place: the seat leaves it.
            part.source().sleep_blocking(wait);
            let pending = match part.arrived(place) {
                Ok(grant) => {
                    self.place = None;
                    return Ok(grant);
                }
                Err(pending) => pending,
            };
            if let Some(refused) = pending.refused {
                return Err(RateLimitExceeded::new(refused));
            }
            wait = pending.wait;
        }
    }

    /// Blocks the thread, as long as there is time.
    fn sit_blocking(mut self, timeout: Option<Duration>) -> Result<Grant, RateLimitExceeded> {
        let place = self.place.expect("a turn is awaited once");
        let source = self.part.source();
        let end = timeout.map_or(Instant::MAX, |timeout| source.now() + timeout);
        let waker = source.parks().then(unparker);
        loop {
            let pending = match self.claim(place, None) {
                Ok(grant) => return Ok(grant),
                Err(pending) => pending,
            };
            let left = end.saturating_duration_since(source.now());
            if left.is_zero() {
                return Err(OUT_OF_TIME);
            }
            match &waker {
                Some(waker) => {
                    source.park(self.arm(place, waker.clone()).wait.min(left));
                }
                // A clock of the user's that panics while it sleeps loses no place.
                None => source.sleep_blocking(pending.wait.min(left)),
            }
        }
    }

    fn lie_down(&self, place: Place, waker: Waker) -> Nap {
        let Pending { due, wait, .. } = self.arm(place, waker);
        Nap { due, sleep: self.part.source().sleep_until(due, wait) }
    }

    fn park(&mut self) -> Result<Grant, RateLimitExceeded> {
        let place = self.place.expect("a turn is not awaited once it has come");
        let waker = unparker();
        loop {
            match self.claim(place, None) {
                Ok(grant) => return Ok(grant),
                Err(Pending { refused: Some(refused), .. }) => {
                    return Err(RateLimitExceeded::new(refused));
                }
                Err(_) => {}
            }
            let Pending { wait, .. } = self.arm(place, waker.clone());
            self.part.source().park(wait);
        }
    }

    fn claim(&mut self, place: Place, waker: Option<&Waker>) -> Result<Grant, Pending> {
        let claimed = sure(self.part.claim(place, waker));
        if claimed.is_ok() || claimed.is_err_and(|pending| pending.refused.is_some()) {
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
