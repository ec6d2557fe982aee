//! A handful of futures, polled when woken, on a mock clock: no runtime, nothing by chance.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use limitpal::{Instant, MockClock};

/// So many polls at one instant are no progress.
const LIVELY: usize = 20_000;

type Task<T> = Pin<Box<dyn Future<Output = T>>>;

/// Named futures; those woken are polled in the order in which they were.
pub(crate) struct Tasks<T> {
    tasks: Vec<(String, Option<Task<T>>)>,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

struct Bell {
    task: usize,
    woken: Arc<Mutex<VecDeque<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push_back(self.task);
    }
}

impl<T> Tasks<T> {
    pub(crate) fn new() -> Self {
        Self { tasks: Vec::new(), woken: Arc::default() }
    }

    /// Adds a future; it is polled when things settle.
    pub(crate) fn spawn(&mut self, name: &str, future: impl Future<Output = T> + 'static) {
        self.woken.lock().unwrap().push_back(self.tasks.len());
        self.tasks.push((name.to_owned(), Some(Box::pin(future))));
    }

    /// Drops a future where it stands; false if it has ended already.
    pub(crate) fn cancel(&mut self, name: &str) -> bool {
        let task = self.tasks.iter_mut().find(|(own, _)| own == name);
        task.is_some_and(|(_, task)| task.take().is_some())
    }

    /// Polls a future once more, whatever it waits for.
    pub(crate) fn wake(&mut self, name: &str) {
        let task = self.tasks.iter().position(|(own, _)| own == name);
        self.woken.lock().unwrap().extend(task);
    }

    /// Returns the names of those that have not ended.
    pub(crate) fn unfinished(&self) -> Vec<&str> {
        self.tasks.iter().filter(|(_, task)| task.is_some()).map(|(name, _)| &**name).collect()
    }

    /// Polls until nobody is woken; calls `ended` for each that ends.
    pub(crate) fn settle(&mut self, mut ended: impl FnMut(&str, T)) {
        let mut polls = 0;
        while let Some(task) = self.next_woken() {
            polls += 1;
            assert!(polls < LIVELY, "tasks wake each other for ever, and no time passes");
            let bell = Bell { task, woken: Arc::clone(&self.woken) };
            let waker = Waker::from(Arc::new(bell));
            let (name, slot) = &mut self.tasks[task];
            let Some(future) = slot else { continue };
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *slot = None;
                ended(name, value);
            }
        }
    }

    /// Moves the clock to `until`, from deadline to deadline, settling at each.
    pub(crate) fn pass(
        &mut self,
        clock: &MockClock,
        until: Instant,
        mut ended: impl FnMut(&str, T),
    ) {
        self.settle(&mut ended);
        loop {
            let left = until.saturating_duration_since(clock.now());
            let step = clock.next_deadline().map_or(left, |next| next.min(left));
            clock.advance(step);
            self.settle(&mut ended);
            if step == left {
                return;
            }
        }
    }

    fn next_woken(&self) -> Option<usize> {
        self.woken.lock().unwrap().pop_front()
    }
}

/// Drives one future to its end, moving the clock when it waits.
pub(crate) fn finish<T: 'static>(
    clock: &MockClock,
    future: impl Future<Output = T> + 'static,
) -> Result<T, String> {
    let mut tasks = Tasks::new();
    let mut value = None;
    tasks.spawn("", future);
    loop {
        tasks.settle(|_, ended| value = Some(ended));
        if let Some(value) = value {
            return Ok(value);
        }
        let deadline = clock.next_deadline().ok_or("it waits, and for nothing on this clock")?;
        clock.advance(deadline);
    }
}
