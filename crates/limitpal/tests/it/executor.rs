//! The executor: one pipeline, two loops. Where the claim is the same, so is the test's body.
#![expect(clippy::unwrap_used, reason = "a helper that fails names its line well enough")]

mod cancelled;
mod charge;
mod light;
mod order;
mod parts;
mod reports;

use std::cell::Cell;
use std::fmt::Debug;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    CircuitBreaker, CircuitBreakerBuilder, Clock, Instant, MockClock, Rate, ResilientExecutor,
    RetryPolicy, RunError, Sleep, TokenBucket,
};

const SECOND: Duration = Duration::from_secs(1);

/// The two loops.
const WAYS: [Way; 2] = [Way::Blocking, Way::Future];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Blocking,
    Future,
}

impl Way {
    /// Runs `function` to the end; while a future waits, the clock goes on to its next deadline.
    fn run<T, E: 'static>(
        self,
        executor: &ResilientExecutor<E>,
        clock: &MockClock,
        mut function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        match self {
            Self::Blocking => executor.run_blocking("key", function),
            Self::Future => {
                let mut run = pin!(executor.run("key", || std::future::ready(function())));
                loop {
                    match poll(run.as_mut()) {
                        Some(answer) => return answer,
                        None => clock.advance(clock.next_deadline().expect("somebody waits")),
                    }
                }
            }
        }
    }
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// One token at the start and one each second, all on the same clock.
fn limiter(clock: &MockClock) -> TokenBucket {
    let rate = Rate::per_second(1.0).unwrap();
    TokenBucket::builder(1, rate).clock(clock.clone()).build().unwrap()
}

/// Opens at `failures` for ten seconds.
fn breaker(clock: &MockClock, failures: u32) -> CircuitBreaker {
    options(failures).clock(clock.clone()).build().unwrap()
}

fn options(failures: u32) -> CircuitBreakerBuilder {
    CircuitBreaker::builder().failure_threshold(failures).recovery_timeout(10 * SECOND)
}

/// Brings a breaker that one failure opens to the half-open state.
fn half_open(clock: &MockClock) -> CircuitBreaker {
    let breaker = breaker(clock, 1);
    breaker.record_failure();
    clock.advance(10 * SECOND);
    breaker
}

/// Three attempts, a second and then two between them.
fn thrice() -> RetryPolicy<&'static str> {
    RetryPolicy::builder().max_attempts(3).base_delay(SECOND).build().unwrap()
}

/// A function that fails so many times, and then returns how often it was called.
fn fails(times: u32, calls: &Cell<u32>) -> impl FnMut() -> Result<u32, &'static str> {
    move || {
        calls.set(calls.get() + 1);
        if calls.get() > times { Ok(calls.get()) } else { Err("timed out") }
    }
}

/// A clock of the user's own, on which something happens during the first sleep.
struct Eventful {
    time: MockClock,
    event: Arc<Mutex<Option<Event>>>,
}

type Event = Box<dyn FnOnce() + Send>;

impl Eventful {
    /// Returns the clock, and where to put what happens.
    fn on(time: &MockClock) -> (Arc<dyn Clock>, Arc<Mutex<Option<Event>>>) {
        let event = Arc::default();
        (Arc::new(Self { time: time.clone(), event: Arc::clone(&event) }), event)
    }
}

fn sleep(time: &MockClock, event: &Mutex<Option<Event>>, span: Duration) {
    let event = event.lock().unwrap().take();
    event.into_iter().for_each(|happen| happen());
    time.advance(span);
}

impl Clock for Eventful {
    fn now(&self) -> Instant {
        self.time.now()
    }

    fn sleep_blocking(&self, span: Duration) {
        sleep(&self.time, &self.event, span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        let (time, event) = (self.time.clone(), Arc::clone(&self.event));
        Box::pin(async move { sleep(&time, &event, span) })
    }
}

impl Debug for Eventful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Eventful")
    }
}
