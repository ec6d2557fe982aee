//! Who is to be woken once the lock is released.

use std::task::Waker;

/// Wakers in their order; as a rule there is one, which takes no memory of its own.
#[derive(Debug, Default)]
#[must_use = "whoever was let in sleeps until it is woken"]
pub(super) struct Woken {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Woken {
    /// Adds one who was let in. Without a waker it has not fallen asleep yet.
    pub(super) fn push(&mut self, waker: Option<Waker>) {
        match (&self.first, waker) {
            (None, waker) => self.first = waker,
            (Some(_), waker) => self.more.extend(waker),
        }
    }

    /// Wakes all, in the order in which they were let in.
    #[inline]
    pub(super) fn wake(self) {
        // As a rule there is nobody.
        if let Some(first) = self.first {
            first.wake();
            self.more.into_iter().for_each(Waker::wake);
        }
    }
}
