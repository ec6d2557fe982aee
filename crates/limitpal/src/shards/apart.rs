//! A lock on cache lines of its own, which threads stand back from before they wait for it.

#[cfg(loom)]
use crate::sync::Mutex as Lock;
#[cfg(loom)]
pub(crate) use crate::sync::MutexGuard as LockGuard;
#[cfg(not(loom))]
use spin::mutex::SpinMutex as Lock;
#[cfg(not(loom))]
pub(crate) use spin::mutex::SpinMutexGuard as LockGuard;

/// A shard on cache lines of its own, so that threads at work in different ones do not meet.
///
/// It is held for some nanoseconds at a time, and given back by a plain store: a lock that must look
/// for sleepers when it is given back costs half as much again as all else a decision does.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(Lock<T>);

impl<T> Apart<T> {
    pub(super) fn new(shard: T) -> Self {
        Self(Lock::new(shard))
    }

    #[cfg(loom)]
    pub(super) fn lock(&self, _met: impl FnOnce()) -> LockGuard<'_, T> {
        self.0.lock().expect("nothing panics under it")
    }

    #[cfg(not(loom))]
    #[inline]
    pub(super) fn lock(&self, met: impl FnOnce()) -> LockGuard<'_, T> {
        match self.0.try_lock() {
            Some(shard) => shard,
            None => {
                met();
                waiting::lock(&self.0)
            }
        }
    }
}

/// What a thread does that finds the lock held.
#[cfg(not(loom))]
mod waiting {
    use std::time::Duration;
    use std::{hint, thread};

    use super::{Lock, LockGuard};

    /// For how many pauses it stands back: at first as long as a decision takes, then a microsecond
    /// or more. A thread that is left alone for a microsecond decides many times in it, where two
    /// that fight for a line decide a few.
    const STAND_BACK: [u32; 4] = [4, 32, 64, 128];
    /// How often it lets others run before it sleeps: whoever holds the lock does not run, or lays
    /// a large table out anew.
    const YIELDS: u32 = 16;
    /// For how long it sleeps, so that one of a higher priority does not keep the holder from
    /// running.
    const NAP: Duration = Duration::from_micros(50);

    #[cold]
    pub(super) fn lock<T>(lock: &Lock<T>) -> LockGuard<'_, T> {
        let mut turn = 0;
        loop {
            stand_back(turn);
            if let Some(guard) = lock.try_lock() {
                return guard;
            }
            turn += 1;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "it waits for a thread, not for a time")]
    fn stand_back(turn: u32) {
        match STAND_BACK.get(turn as usize) {
            Some(pauses) => (0..*pauses).for_each(|_| hint::spin_loop()),
            None if turn < YIELDS => thread::yield_now(),
            None => thread::sleep(NAP),
        }
    }
}
