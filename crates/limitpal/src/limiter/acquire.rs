//! An acquire as a future, small: a hundred thousand of these may wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::ask::Ask;
use super::part::Part;
use super::quota::Quota;
use super::told;
use super::turn::{Seat, come_told, request};
use super::{AnyLimiter, View, sure};
use crate::clock::SharedClock;
use crate::refusal::RateLimitExceeded;
use crate::store::Turn;

/// Takes when it is first polled, and is ready when the turn comes. Written by hand: what an
/// `async fn` has been given it keeps for as long as it waits.
pub(super) enum Acquire<'l> {
    Asking(&'l AnyLimiter, Ask<'l>, Option<Duration>),
    Coming(Seat<'l>),
    /// From several limiters, or from one that counts in another way.
    Boxed(Pin<Box<dyn Future<Output = Result<Quota, RateLimitExceeded>> + Send + 'l>>),
    Ended,
}

fn enter(part: &dyn Part<SharedClock>, ask: Ask<'_>, timeout: Option<Duration>) -> Turn<()> {
    sure(part.enter(ask.key(), request(ask, timeout, false)))
}

impl Acquire<'_> {
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Result<(), RateLimitExceeded>> {
        loop {
            match self {
                Self::Asking(limiter, ask, timeout) => match limiter.view() {
                    View::Keyed(keyed) => match keyed.enter(*ask, *timeout, false) {
                        Turn::Now(()) => return Poll::Ready(Ok(())),
                        Turn::Refused(after) => {
                            return Poll::Ready(Err(RateLimitExceeded::new(after)));
                        }
                        Turn::Wait(place, _) => *self = Self::Coming(keyed.seat(place)),
                    },
                    View::Part(part) => match enter(part, *ask, *timeout) {
                        Turn::Now(()) => return Poll::Ready(Ok(())),
                        Turn::Refused(after) => {
                            return Poll::Ready(Err(RateLimitExceeded::new(after)));
                        }
                        Turn::Wait(place, _) => {
                            // Most need no timer, and a crowd of them is smaller without.
                            *self = Self::Boxed(if part.waits_may_grow() {
                                Box::pin(come_told(part, place, *ask, *timeout))
                            } else {
                                let (seat, ask) = (Seat::new(part, place), *ask);
                                Box::pin(async move {
                                    let told = |_: &_| told::gave_up(part, ask.key(), ask.cost());
                                    let grant = seat.await.inspect_err(told)?;
                                    Ok(Quota::one(grant, Duration::ZERO))
                                })
                            });
                        }
                    },
                    View::Composite(composite) => {
                        *self = Self::Boxed(Box::pin(composite.acquire(*ask, *timeout)));
                    }
                },
                Self::Coming(seat) => {
                    return Poll::Ready(ready!(Pin::new(seat).poll(context)).map(drop));
                }
                Self::Boxed(acquire) => {
                    let acquired = ready!(acquire.as_mut().poll(context));
                    return Poll::Ready(acquired.map(drop));
                }
                Self::Ended => panic!("an acquire is not polled once it has ended"),
            }
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Result<(), RateLimitExceeded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let acquired = self.step(context);
        if acquired.is_ready() {
            *self = Self::Ended;
        }
        acquired
    }
}
