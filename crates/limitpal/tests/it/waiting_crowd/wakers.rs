//! A waker is the user's code: it may do with the limiter what it likes, so no lock is held.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{AnyLimiter, CompositeLimiter, Cost, MockClock};

use crate::models::{ExactRate, Kind, Settings};
use crate::waiters::bucket;
use crate::windows;

/// Only a thread that waits for itself takes so long.
const STUCK: Duration = Duration::from_secs(20);

thread_local! {
    /// Whether a meddler is at work: what it does is not to be meddled with again.
    static MEDDLING: Cell<bool> = const { Cell::new(false) };
}

/// A waker that uses the limiter when it is woken, and when it is dropped.
struct Meddler {
    limiter: AnyLimiter,
    wakes: Arc<AtomicU32>,
    drops: Arc<AtomicU32>,
}

impl Meddler {
    /// Asks the limiter everything it can be asked, and comes to wait and leaves again.
    fn meddle(&self, times: &AtomicU32) {
        if MEDDLING.replace(true) {
            return;
        }
        times.fetch_add(1, Ordering::Relaxed);
        let limiter = &self.limiter;
        let _ = (limiter.allow("k"), limiter.peek("k"), limiter.check("other"));
        let _ = poll(pin!(limiter.acquire(("k", Cost::new(2).unwrap()))).as_mut(), Waker::noop());
        let _ = limiter.acquire_timeout_blocking("k", Duration::ZERO);
        MEDDLING.set(false);
    }
}

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        self.meddle(&self.wakes);
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle(&self.drops);
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// A limiter somebody waits for, and how often its waiters' wakers have meddled.
struct Scene {
    clock: MockClock,
    limiter: AnyLimiter,
    wakes: Arc<AtomicU32>,
    drops: Arc<AtomicU32>,
}

type Wait = Pin<Box<dyn Future<Output = bool>>>;

impl Scene {
    fn waker(&self) -> Waker {
        let (wakes, drops) = (Arc::clone(&self.wakes), Arc::clone(&self.drops));
        Arc::new(Meddler { limiter: self.limiter.clone(), wakes, drops }).into()
    }

    /// Comes to wait, with a waker that meddles and that nobody else keeps.
    fn join(&self, cost: u64) -> Wait {
        let (limiter, cost) = (self.limiter.clone(), Cost::new(cost).unwrap());
        let mut wait: Wait = Box::pin(async move { limiter.acquire(("k", cost)).await.is_ok() });
        assert_eq!(Poll::Pending, self.poll(&mut wait));
        wait
    }

    fn poll(&self, wait: &mut Wait) -> Poll<bool> {
        poll(wait.as_mut(), &self.waker())
    }

    /// Runs `act` and asserts that wakers were woken, or dropped, in it.
    fn meddles(&self, times: &AtomicU32, act: impl FnOnce()) {
        let before = times.load(Ordering::Relaxed);
        act();
        assert!(times.load(Ordering::Relaxed) > before, "no waker had anything to do");
    }
}

/// Makes one of two buckets or four windows, of three permits a second.
fn make(kind: usize, clock: &MockClock) -> AnyLimiter {
    let buckets = [Kind::Token, Kind::Leaky].map(|kind| {
        let settings = Settings::new(kind, 3, ExactRate::new(3.0, 3, 1));
        bucket(settings, true, clock)
    });
    let windows = windows::each(3, Duration::from_secs(1), clock);
    buckets.into_iter().chain(windows).nth(kind).expect("there are six")
}

/// Runs `act` on each kind of limiter, on a thread of its own that may not hang.
fn on_each_limiter(act: impl Fn(&Scene) + Send + Sync + 'static) {
    let (done, finished) = channel();
    let thread = std::thread::spawn(move || {
        for kind in 0..6 {
            for is_composite in [false, true] {
                let clock = MockClock::new();
                let mut limiter = make(kind, &clock);
                if is_composite {
                    limiter = CompositeLimiter::new([limiter]).unwrap().into();
                }
                let (wakes, drops) = (Arc::default(), Arc::default());
                let scene = Scene { clock, limiter, wakes, drops };
                while scene.limiter.allow("k") {}
                act(&scene);
            }
        }
        done.send(()).unwrap();
    });
    let stuck = finished.recv_timeout(STUCK).is_err() && !thread.is_finished();
    assert!(!stuck, "a waker waits for a lock that is held while it runs");
    thread.join().unwrap();
}

#[test]
fn a_waker_that_time_wakes_may_use_the_limiter() {
    on_each_limiter(|scene| {
        let mut waits = [scene.join(1), scene.join(1)];

        scene.meddles(&scene.wakes, || scene.clock.advance(Duration::from_secs(60)));

        for wait in &mut waits {
            assert_eq!(Poll::Ready(true), scene.poll(wait));
        }
    });
}

#[test]
fn a_waker_that_a_leaver_wakes_may_use_the_limiter() {
    on_each_limiter(|scene| {
        let first = scene.join(3);
        let _second = scene.join(1);

        scene.meddles(&scene.wakes, || drop(first));
    });
}

#[test]
fn a_waker_that_the_one_before_wakes_may_use_the_limiter() {
    on_each_limiter(|scene| {
        let (mut first, second, _third) = (scene.join(1), scene.join(2), scene.join(1));
        drop(second);
        scene.clock.advance(scene.clock.next_deadline().unwrap());

        // The third has moved up, and sleeps too long.
        scene.meddles(&scene.wakes, || assert_eq!(Poll::Ready(true), scene.poll(&mut first)));
    });
}

#[test]
fn a_waker_that_a_reset_wakes_may_use_the_limiter() {
    on_each_limiter(|scene| {
        let _waits = [scene.join(3), scene.join(3)];
        scene.meddles(&scene.wakes, || scene.limiter.reset("k"));
    });
    on_each_limiter(|scene| {
        let _waits = [scene.join(3), scene.join(3)];
        scene.meddles(&scene.wakes, || scene.limiter.reset_all());
    });
}

#[test]
fn a_waker_that_quota_given_back_wakes_may_use_the_limiter() {
    on_each_limiter(|scene| {
        scene.clock.advance(Duration::from_secs(60));
        let limiter = scene.limiter.clone();
        let quota = limiter.acquire_quota_blocking(("k", Cost::new(3).unwrap()), None).unwrap();
        let _wait = scene.join(3);

        scene.meddles(&scene.wakes, || limiter.give_back(quota));
    });
}

#[test]
fn a_waker_may_use_the_limiter_when_it_is_dropped() {
    on_each_limiter(|scene| {
        let mut wait = scene.join(1);
        let other = scene.join(1);
        scene.meddles(&scene.drops, || assert_eq!(Poll::Pending, scene.poll(&mut wait)));
        scene.meddles(&scene.drops, || drop(other));
        scene.clock.advance(Duration::from_secs(60));
        scene.meddles(&scene.drops, || assert_eq!(Poll::Ready(true), scene.poll(&mut wait)));
    });
}
