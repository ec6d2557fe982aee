//! Waiting for a permit: as a future, and in a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use super::super::ask::Ask;
use super::{ConcurrencyPermit, Entered, Inner};
use crate::clock::{Sleep, unparker};
use crate::gates::{Queued, Standing};
use crate::refusal::RateLimitExceeded;
use crate::retry_after::RetryAfter;

type Answer = Result<ConcurrencyPermit, RateLimitExceeded>;

/// Asks when it is first polled, and is ready once there is a permit, or none in time.
pub(super) enum Acquire<'l> {
    Asking(&'l Inner, Ask<'l>, Option<Duration>),
    Waiting(Seat<'l>, Option<Sleep>),
    Ended,
}

impl<'l> Acquire<'l> {
    /// Returns the answer, if there is one at once.
    fn ask(&mut self, inner: &'l Inner, ask: Ask<'l>, timeout: Option<Duration>) -> Option<Answer> {
        let is_ready_to_wait = timeout.is_none_or(|timeout| !timeout.is_zero());
        match inner.enter(ask, is_ready_to_wait) {
            Entered::Now(permit) => Some(Ok(permit)),
            Entered::Refused(refusal) => Some(Err(refusal)),
            Entered::Waits(queued) => {
                let seat = Seat::new(inner, queued);
                *self = Self::Waiting(seat, timeout.map(|timeout| inner.sleep(timeout)));
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
        let Self::Waiting(seat, timer) = this else {
            panic!("an acquire is not polled once it has ended");
        };
        let answer = match seat.claim(context.waker()) {
            Some(answer) => answer,
            None => {
                let Some(timer) = timer else { return Poll::Pending };
                ready!(timer.as_mut().poll(context));
                seat.give_up()
            }
        };
        *this = Self::Ended;
        Poll::Ready(answer)
    }
}

impl Inner {
    /// Returns a sleep by the limiter's clock, from now on.
    fn sleep(&self, span: Duration) -> Sleep {
        let now = self.clock.now();
        let due = now + span;
        self.clock.sleep_until(due, due.saturating_duration_since(now))
    }
}

/// A place in a line that is left when it is dropped, with the permit if that has come.
pub(super) struct Seat<'l> {
    inner: &'l Inner,
    queued: Option<Queued>,
}

impl<'l> Seat<'l> {
    pub(super) fn new(inner: &'l Inner, queued: Queued) -> Self {
        Self { inner, queued: Some(queued) }
    }

    /// Blocks the thread until there is an answer.
    pub(super) fn sit_out(mut self, timeout: Option<Duration>) -> Answer {
        let (waker, mut alarm) = (unparker(), self.inner.clock.alarm(timeout));
        loop {
            if let Some(answer) = self.claim(&waker) {
                return answer;
            }
            if alarm.park(&waker) {
                return self.give_up();
            }
        }
    }

    /// Returns the answer if there is one, else keeps the waker until there is.
    fn claim(&mut self, waker: &Waker) -> Option<Answer> {
        let queued = self.queued.expect("a seat is not asked once it has answered");
        let gates = &self.inner.gates;
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
        let standing = self.inner.gates.give_up(queued);
        self.settle(standing)
    }

    fn settle(&mut self, standing: Standing) -> Answer {
        let queued = self.queued.take().expect("a seat answers once");
        match standing {
            Standing::Inside => Ok(self.inner.permit(queued.key(), queued.cost())),
            Standing::TurnedAway => Err(RateLimitExceeded::new(RetryAfter::Never)),
            Standing::Waits { .. } => Err(RateLimitExceeded::new(RetryAfter::Unknown)),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(queued) = self.queued.take() {
            self.inner.gates.leave(queued);
        }
    }
}
