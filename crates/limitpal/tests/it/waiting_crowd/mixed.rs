//! Tasks and threads that wait for one limiter, on one clock of the user's own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use limitpal::{AnyLimiter, Clock, Cost, Instant, MockClock, SharedClock, Sleep};

use crate::conformance::parked::ParkedClock;
use crate::conformance::tasks::Tasks;
use crate::models::Settings;
use crate::waiters::bucket;

/// A thread that sleeps on it cannot be moved, a task can.
#[derive(Clone, Debug, Default)]
struct MixedClock {
    threads: ParkedClock,
    tasks: MockClock,
}

impl Clock for MixedClock {
    fn now(&self) -> Instant {
        self.threads.now()
    }

    fn sleep_blocking(&self, span: Duration) {
        self.threads.sleep_blocking(span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.tasks.sleep(span)
    }
}

/// How one waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    Task,
    Thread,
}

/// Those who come, wait, go and leave, numbered as they came.
pub(super) struct Crowd {
    clock: MixedClock,
    pub(super) limiter: AnyLimiter,
    tasks: Tasks<bool>,
    threads: HashMap<usize, ThreadId>,
    /// Who is no longer there, when that was, and whether it was granted.
    ended: Arc<Mutex<Vec<(usize, i64, bool)>>>,
    came: usize,
    pub(super) left: usize,
}

impl Crowd {
    pub(super) fn new(settings: Settings) -> Self {
        let clock = MixedClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let limiter = bucket(settings, true, SharedClock::from(shared));
        let (tasks, threads, ended) = (Tasks::new(), HashMap::new(), Arc::default());
        Self { clock, limiter, tasks, threads, ended, came: 0, left: 0 }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_nanos()
    }

    /// Returns how many wait.
    pub(super) fn waiting(&self) -> usize {
        self.came - self.left - self.ended.lock().unwrap().len()
    }

    pub(super) fn waits(&self, who: usize) -> bool {
        self.ended.lock().unwrap().iter().all(|(other, ..)| *other != who)
    }

    /// Returns who was granted when, in order.
    pub(super) fn granted(&self) -> Vec<(usize, i64)> {
        let ended = self.ended.lock().unwrap();
        ended.iter().filter(|(_, _, granted)| *granted).map(|(who, at, _)| (*who, *at)).collect()
    }

    /// Comes, and goes at once or waits at most so long.
    pub(super) fn join(&mut self, way: Way, cost: u64, patience: Duration) -> usize {
        let (who, limiter, cost) = (self.came, self.limiter.clone(), Cost::new(cost).unwrap());
        self.came += 1;
        match way {
            Way::Task => {
                let wait =
                    async move { limiter.acquire_timeout(("k", cost), patience).await.is_ok() };
                self.tasks.spawn(&who.to_string(), wait);
                self.settle(self.clock.tasks.now());
            }
            Way::Thread => {
                let (clock, ended) = (self.clock.clone(), Arc::clone(&self.ended));
                let thread = self.clock.threads.start(move || {
                    let answer = limiter.acquire_timeout_blocking(("k", cost), patience);
                    ended.lock().unwrap().push((who, clock.now().as_nanos(), answer.is_ok()));
                });
                self.threads.insert(who, thread.thread().id());
            }
        }
        who
    }

    /// Leaves, if it still waits: a task is dropped, a thread panics in its sleep.
    pub(super) fn leave(&mut self, who: usize) {
        let leaves = match self.threads.get(&who) {
            Some(thread) => self.clock.threads.interrupt(*thread),
            None => self.tasks.cancel(&who.to_string()),
        };
        self.left += usize::from(leaves);
        self.settle(self.clock.tasks.now());
    }

    /// Lets time pass, from deadline to deadline.
    pub(super) fn pass(&mut self, until: i64) {
        let until = Instant::from_nanos(until);
        loop {
            let task = self.clock.tasks.next_deadline().map(|left| self.clock.tasks.now() + left);
            let thread = self.clock.threads.next_deadline();
            let next = task.into_iter().chain(thread).min().filter(|next| *next <= until);
            self.clock.threads.move_to(next.unwrap_or(until));
            self.settle(next.unwrap_or(until));
            if next.is_none() {
                return;
            }
        }
    }

    /// Brings the tasks' time to the threads', and polls whoever is woken.
    fn settle(&mut self, until: Instant) {
        let (now, ended) = (until.as_nanos(), &self.ended);
        self.tasks.pass(&self.clock.tasks, until, |who, granted| {
            ended.lock().unwrap().push((who.parse().unwrap(), now, granted));
        });
    }
}
