//! A user's own clock, whose sleepers are real threads: each rests until its deadline comes.

use std::collections::{BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use limitpal::{Clock, Instant, SharedClock, Sleep};

/// Only far beyond what a thread needs to come to rest is a test stuck.
const STUCK: Duration = Duration::from_secs(20);

/// So many wakes in one move are no progress.
const LIVELY: usize = 20_000;

/// Time stands until the test moves it, and then wakes one sleeper at a time, in order of deadline.
#[derive(Clone, Debug, Default)]
pub(crate) struct ParkedClock(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    now: i64,
    /// Threads that neither sleep nor have ended.
    busy: usize,
    slept: u64,
    sleepers: BTreeSet<(i64, u64)>,
    /// Where each sleeping thread lies.
    beds: HashMap<ThreadId, (i64, u64)>,
}

impl ParkedClock {
    pub(crate) fn shared(&self) -> SharedClock {
        let clock: Arc<dyn Clock> = Arc::new(self.clone());
        clock.into()
    }

    /// Starts a thread and lets it go as far as it can without time passing.
    pub(crate) fn start(&self, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        self.0.state.lock().unwrap().busy += 1;
        let clock = self.clone();
        let thread = std::thread::spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(work));
            clock.0.state.lock().unwrap().busy -= 1;
            clock.0.changed.notify_all();
            ended.unwrap_or_else(|panic| resume_unwind(panic));
        });
        self.rest();
        thread
    }

    /// Moves the time, waking each sleeper at its deadline and waiting until it rests again.
    pub(crate) fn move_to(&self, time: Instant) {
        let mut wakes = 0;
        while self.wake_next(time.as_nanos()) {
            self.rest();
            wakes += 1;
            assert!(wakes < LIVELY, "threads sleep for no time, for ever");
        }
        self.0.state.lock().unwrap().now = time.as_nanos();
    }

    /// Returns when the next sleeper wakes.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let state = self.0.state.lock().unwrap();
        state.sleepers.first().map(|(deadline, _)| Instant::from_nanos(*deadline))
    }

    /// Lets a sleeping thread panic in its sleep, quietly; false if it does not sleep.
    pub(crate) fn interrupt(&self, thread: ThreadId) -> bool {
        let mut state = self.0.state.lock().unwrap();
        let Some(sleeper) = state.beds.remove(&thread) else { return false };
        state.sleepers.remove(&sleeper);
        state.busy += 1;
        self.0.changed.notify_all();
        drop(state);
        self.rest();
        true
    }

    fn wake_next(&self, until: i64) -> bool {
        let mut state = self.0.state.lock().unwrap();
        let Some(&(deadline, id)) = state.sleepers.first() else { return false };
        if deadline > until {
            return false;
        }
        state.now = state.now.max(deadline);
        state.busy += 1;
        state.sleepers.remove(&(deadline, id));
        self.0.changed.notify_all();
        true
    }

    fn rest(&self) {
        let state = self.0.state.lock().unwrap();
        let busy = |state: &mut State| state.busy > 0;
        let (_state, wait) = self.0.changed.wait_timeout_while(state, STUCK, busy).unwrap();
        assert!(!wait.timed_out(), "a thread neither slept on its clock nor ended");
    }
}

impl Clock for ParkedClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.state.lock().unwrap().now)
    }

    fn sleep_blocking(&self, span: Duration) {
        let mut state = self.0.state.lock().unwrap();
        let deadline = Instant::from_nanos(state.now) + span;
        state.slept += 1;
        let sleeper = (deadline.as_nanos(), state.slept);
        state.sleepers.insert(sleeper);
        state.beds.insert(std::thread::current().id(), sleeper);
        state.busy -= 1;
        self.0.changed.notify_all();
        let asleep = |state: &mut State| state.sleepers.contains(&sleeper);
        let mut state = self.0.changed.wait_while(state, asleep).unwrap();
        let undisturbed = state.beds.remove(&std::thread::current().id()).is_some();
        drop(state);
        if !undisturbed {
            resume_unwind(Box::new("interrupted"));
        }
    }

    fn sleep(&self, _span: Duration) -> Sleep {
        unreachable!("nothing async runs on this clock")
    }
}
