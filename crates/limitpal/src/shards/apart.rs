//! A lock on cache lines of its own, which threads stand back from before they wait for it.

use std::hint;
use std::sync::{PoisonError, TryLockError};

use crate::sync::{Mutex, MutexGuard};

/// For how many pauses a thread stands back from a lock that another holds: at first as long as a
/// decision takes, then a microsecond or more.
/// A model has no such times.
const STAND_BACK: &[u32] = if cfg!(loom) { &[] } else { &[4, 32, 64, 128] };

/// A shard on cache lines of its own, so that threads at work in different ones do not meet.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(Mutex<T>);

impl<T> Apart<T> {
    pub(super) fn new(shard: T) -> Self {
        Self(Mutex::new(shard))
    }

    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.try_lock() {
            Ok(shard) => shard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => self.lock_in_time(),
        }
    }

    /// Stands back for longer and longer, and at last waits: a thread that is left alone for a
    /// microsecond decides many times in it, where two that fight for a line decide a few.
    #[cold]
    fn lock_in_time(&self) -> MutexGuard<'_, T> {
        for pauses in STAND_BACK {
            (0..*pauses).for_each(|_| hint::spin_loop());
            if let Ok(shard) = self.0.try_lock() {
                return shard;
            }
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
