//! A clock that sleeps to an instant, and wakers that end one's sleep: for those who wait by
//! calling the store themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Wake, Waker};

use limitpal::Instant;
use limitpal::parts::{Grant, Place, Store, Stored};
use loom::sync::{Condvar, Mutex};

use super::instant;

/// The time, and whose bells have been rung.
#[derive(Debug)]
pub(crate) struct Bells {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    now: Instant,
    rung: [bool; 2],
}

impl Bells {
    pub(crate) fn new() -> Arc<Self> {
        let state = State { now: Instant::ZERO, rung: [false; 2] };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    pub(crate) fn now(&self) -> Result<Instant, Infallible> {
        Ok(self.state.lock().expect("nobody panics under it").now)
    }

    pub(crate) fn set(&self, seconds: i64) {
        self.state.lock().expect("nobody panics under it").now = instant(seconds);
        self.changed.notify_all();
    }

    fn ring(&self, bell: usize) {
        self.state.lock().expect("nobody panics under it").rung[bell] = true;
        self.changed.notify_all();
    }

    /// Sleeps until the time has come or the bell is rung.
    fn sleep(&self, until: Instant, bell: usize) {
        let mut state = self.state.lock().expect("nobody panics under it");
        while state.now < until && !state.rung[bell] {
            state = self.changed.wait(state).expect("nobody panics under it");
        }
        state.rung[bell] = false;
    }
}

/// Ends one's sleep.
struct Bell {
    bells: Arc<Bells>,
    bell: usize,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.bells.ring(self.bell);
    }
}

/// Waits for one's turn as the loops in `limiter/turn.rs` do: armed anew only where the due time
/// has changed.
pub(crate) fn wait<A: Stored>(
    store: &Store<A>,
    place: Place,
    bells: &Arc<Bells>,
    bell: usize,
) -> Grant {
    let mut armed = None;
    loop {
        let Ok(claimed) = store.claim(place, || bells.now());
        let pending = match claimed {
            Ok(grant) => return grant,
            Err(pending) => pending,
        };
        if armed != Some(pending.due) {
            let waker = Waker::from(Arc::new(Bell { bells: bells.clone(), bell }));
            let Ok(pending) = store.arm(place, waker, || bells.now());
            armed = Some(pending.due);
        }
        let due = armed.expect("it was armed just now");
        bells.sleep(due, bell);
    }
}
