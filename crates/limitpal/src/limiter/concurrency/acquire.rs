//! Waiting for a permit: as a future, and in a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::super::ask::Ask;
use super::super::sure;
use super::door::{Door, Entered};
use super::{ConcurrencyPermit, Inner};
use crate::clock::{SharedClock, Sleep, unparker};
use crate::gates::{Queued, Standing};
use crate::refusal::RateLimitExceeded;
use crate::retry_after::RetryAfter;

pub(in super::super) type Answer = Result<ConcurrencyPermit, RateLimitExceeded>;

/// Asks when it is first polled, and is ready once there is a permit, or none in time.
pub(super) enum Acquire<'l> {
    Asking(&'l Inner, Ask<'l>, Option<Duration>),
    Waiting(Knock<'l>),
    Ended,
}

impl<'l> Acquire<'l> {
    /// Returns the answer, if there is one at once.
    fn ask(&mut self, inner: &'l Inner, ask: Ask<'l>, timeout: Option<Duration>) -> Option<Answer> {
        match inner.enter(ask, is_ready_to_wait(timeout)) {
            Entered::Now(permit) => Some(Ok(permit)),
            Entered::Refused(after) => Some(Err(RateLimitExceeded::new(after))),
            Entered::Waits(queued) => {
                *self = Self::Waiting(Knock::new(&inner.door, queued, timeout, &inner.clock));
                None
            }
        }
    }
}

impl Future for Acquire<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        if let Self::Asking(inner, ask, timeout) = *this
            && let Some(answer) = this.ask(inner, ask, timeout)
        {
            *this = Self::Ended;
            return Poll::Ready(answer);
        }
        let Self::Waiting(knock) = this else {
            panic!("an acquire is not polled once it has ended");
        };
        let answer = ready!(Pin::new(knock).poll(context));
        *this = Self::Ended;
        Poll::Ready(answer)
    }
}

/// A timeout of zero never waits.
pub(in super::super) fn is_ready_to_wait(timeout: Option<Duration>) -> bool {
    timeout.is_none_or(|timeout| !timeout.is_zero())
}

impl Inner {
    pub(super) fn acquire_blocking(&self, ask: Ask<'_>, timeout: Option<Duration>) -> Answer {
        match self.enter(ask, is_ready_to_wait(timeout)) {
            Entered::Now(permit) => Ok(permit),
            Entered::Waits(queued) => sit_out(&self.door, queued, timeout, &self.clock),
            Entered::Refused(after) => Err(RateLimitExceeded::new(after)),
        }
    }

    pub(super) fn enter(&self, ask: Ask<'_>, is_ready_to_wait: bool) -> Entered {
        sure(self.door.enter(ask.key(), ask.cost(), None, is_ready_to_wait))
    }
}

/// One who waits before a door: ready once there is a permit, or none in time.
pub(in super::super) struct Knock<'l> {
    seat: Seat<'l>,
    timer: Option<Sleep>,
}

impl<'l> Knock<'l> {
    /// Waits for so long at most, by this clock and from now on.
    pub(in super::super) fn new(
        door: &'l RustDoor,
        queued: Queued,
        timeout: Option<Duration>,
        clock: &SharedClock,
    ) -> Self {
        let seat = Seat { door, queued: Some(queued) };
        let sleep = |timeout| {
            let now = clock.now();
            let due = now + timeout;
            clock.sleep_until(due, due.saturating_duration_since(now))
        };
        Self { seat, timer: timeout.map(sleep) }
    }
}

impl Future for Knock<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let Self { seat, timer } = &mut *self;
        if let Some(answer) = seat.claim(context.waker()) {
            return Poll::Ready(answer);
        }
        let Some(timer) = timer else { return Poll::Pending };
        ready!(timer.as_mut().poll(context));
        Poll::Ready(seat.give_up())
    }
}

/// Blocks the thread until there is an answer.
pub(in super::super) fn sit_out(
    door: &RustDoor,
    queued: Queued,
    timeout: Option<Duration>,
    clock: &SharedClock,
) -> Answer {
    let mut seat = Seat { door, queued: Some(queued) };
    let (waker, mut alarm) = (unparker(), clock.alarm(timeout));
    loop {
        if let Some(answer) = seat.claim(&waker) {
            return answer;
        }
        if alarm.park(&waker) {
            return seat.give_up();
        }
    }
}

/// A door whose keys no clock or callback fails for.
pub(in super::super) type RustDoor = Door<std::convert::Infallible>;

/// A place in a line that is left when it is dropped, with the permit if that has come.
struct Seat<'l> {
    door: &'l RustDoor,
    queued: Option<Queued>,
}

impl Seat<'_> {
    /// Returns the answer if there is one, else keeps the waker until there is.
    fn claim(&mut self, waker: &Waker) -> Option<Answer> {
        let queued = self.queued.expect("a seat is not asked once it has answered");
        let gates = self.door.gates();
        let mut standing = gates.standing(queued, waker);
        if standing == (Standing::Waits { has_waker: false }) {
            // Cloned out here: a waker is the executor's code, and runs under no lock.
            standing = gates.arm(queued, waker.clone());
        }
        match standing {
            Standing::Waits { .. } => None,
            Standing::Inside | Standing::TurnedAway => Some(self.settle(standing)),
        }
    }

    /// Leaves the line, unless the permit has come in this moment.
    fn give_up(&mut self) -> Answer {
        let queued = self.queued.expect("a seat is not asked once it has answered");
        let standing = self.door.gates().give_up(queued);
        self.settle(standing)
    }

    fn settle(&mut self, standing: Standing) -> Answer {
        let queued = self.queued.take().expect("a seat answers once");
        match standing {
            Standing::Inside => Ok(self.door.permit(queued.key(), queued.cost())),
            Standing::TurnedAway => Err(RateLimitExceeded::new(RetryAfter::Never)),
            Standing::Waits { .. } => Err(RateLimitExceeded::new(RetryAfter::Unknown)),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(queued) = self.queued.take() {
            self.door.gates().leave(queued);
        }
    }
}
