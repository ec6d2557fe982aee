//! What threads share: the standard library's, or loom's, which walks their interleavings.

mod lane;
#[cfg(loom)]
mod modelled;

#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, atomic};
#[cfg(not(loom))]
pub(crate) use std::thread;

#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, atomic};
#[cfg(loom)]
pub(crate) use loom::thread;
#[cfg(not(loom))]
pub(crate) use portable_atomic::AtomicU128;

#[cfg(loom)]
pub(crate) use self::modelled::AtomicU128;

pub(crate) use self::lane::{LANES, Lanes, lane, own_lane};
