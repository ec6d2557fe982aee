//! What tests about waiting share: a bucket as a model knows it, and wakers that count.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Wake, Waker};

use limitpal::{AnyLimiter, LeakyBucket, SharedClock};

use crate::models::{Kind, Settings};

/// Makes the bucket that a model is of.
pub(crate) fn bucket(
    settings: Settings,
    per_key: bool,
    clock: impl Into<SharedClock>,
) -> AnyLimiter {
    let Settings { kind, capacity, rate, .. } = settings;
    match kind {
        Kind::Token => {
            let builder = settings.token().clock(clock).per_key(per_key);
            builder.build().expect("a model's settings are in range").into()
        }
        Kind::Leaky => {
            let builder = LeakyBucket::builder(capacity, rate.rate).clock(clock).per_key(per_key);
            builder.build().expect("a model's settings are in range").into()
        }
    }
}

/// Who was woken, in order, and how often each.
#[derive(Clone, Default)]
pub(crate) struct Bells {
    woken: Arc<Mutex<VecDeque<usize>>>,
    wakes: Arc<AtomicU32>,
}

struct Bell {
    who: usize,
    bells: Bells,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.bells.wakes.fetch_add(1, Ordering::Relaxed);
        self.bells.woken.lock().expect("nothing panics in here").push_back(self.who);
    }
}

impl Bells {
    /// Returns a waker for one of those who wait.
    pub(crate) fn waker(&self, who: usize) -> Waker {
        Arc::new(Bell { who, bells: self.clone() }).into()
    }

    /// Returns who was woken first, of those that have not been asked for yet.
    pub(crate) fn next(&self) -> Option<usize> {
        self.woken.lock().expect("nothing panics in here").pop_front()
    }

    /// Returns how often anybody was woken.
    pub(crate) fn wakes(&self) -> u32 {
        self.wakes.load(Ordering::Relaxed)
    }
}
