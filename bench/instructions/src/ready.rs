//! A future that is ready at its first poll, run to its value.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// Polls once.
///
/// # Panics
///
/// If the future is not ready: the paths counted here never wait.
pub(crate) fn value<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a path that never waits did wait"),
    }
}
