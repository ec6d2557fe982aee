//! An awaited attempt against its time.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::clock::{SharedClock, Sleep};
use crate::time::Instant;

/// Awaits an answer until its time is over; none if that came first, and the attempt is dropped.
///
/// A timer is set only if the answer is not there at once.
pub(super) async fn until<F: Future>(
    ends: Option<Instant>,
    clock: &SharedClock,
    answer: F,
) -> Option<F::Output> {
    let mut answer = pin!(answer);
    let mut timer: Option<Sleep> = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = answer.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        let Some(ends) = ends else { return Poll::Pending };
        let timer = timer.get_or_insert_with(|| {
            clock.sleep_until(ends, ends.saturating_duration_since(clock.now()))
        });
        timer.as_mut().poll(context).map(|()| None)
    })
    .await
}
