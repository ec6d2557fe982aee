//! The clocks that do not stand still: monotonic, and one of the user's own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock, MonotonicClock, SharedClock, Sleep};

const MOMENT: Duration = Duration::from_millis(5);

/// Waits for a future on this thread, far from any runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker: Waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        std::thread::park();
    }
}

#[test]
fn the_monotonic_clock_never_steps_back() {
    let readings: Vec<Instant> = (0..1000).map(|_| MonotonicClock.now()).collect();

    assert!(readings.is_sorted());
    assert!(readings[0] >= Instant::ZERO);
}

#[test]
fn the_monotonic_clock_is_one_for_all_threads() {
    let before = MonotonicClock.now();
    let there = std::thread::spawn(|| MonotonicClock.now()).join().unwrap();

    assert!(before <= there && there <= MonotonicClock.now());
}

#[test]
fn a_monotonic_sleep_takes_its_time() {
    let start = MonotonicClock.now();
    MonotonicClock.sleep_blocking(MOMENT);
    assert!(MonotonicClock.now() >= start + MOMENT);
}

#[test]
fn a_monotonic_sleep_works_outside_any_runtime() {
    let start = MonotonicClock.now();
    block_on(MonotonicClock.sleep(MOMENT));
    assert!(MonotonicClock.now() >= start + MOMENT);
}

#[test]
fn a_monotonic_sleep_to_the_end_of_time_is_no_panic() {
    let mut sleep = MonotonicClock.sleep(Duration::MAX);
    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// A clock of the user's own, that counts how often it is asked.
#[derive(Debug, Default)]
pub(crate) struct Counting(AtomicI64);

impl Clock for Counting {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn sleep_blocking(&self, span: Duration) {
        self.0.fetch_add(span.as_nanos() as i64, Ordering::Relaxed);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.sleep_blocking(span);
        Box::pin(std::future::ready(()))
    }
}

#[test]
fn a_clock_of_the_users_own_is_asked_and_slept_on() {
    let clock = SharedClock::from(Arc::new(Counting::default()) as Arc<dyn Clock>);

    assert_eq!(Instant::from_nanos(0), clock.now());
    clock.sleep_blocking(Duration::from_nanos(10));
    block_on(clock.sleep(Duration::from_nanos(10)));
    assert_eq!(Instant::from_nanos(21), clock.now());
}

#[test]
fn the_shared_handle_stands_for_the_monotonic_clock_unless_told_otherwise() {
    for clock in [SharedClock::default(), MonotonicClock.into()] {
        let start = MonotonicClock.now();
        clock.sleep_blocking(MOMENT);
        block_on(clock.sleep(MOMENT));
        assert!(clock.now() >= start + MOMENT * 2);
        assert!(clock.now() <= MonotonicClock.now());
    }
}

#[test]
fn handles_know_whether_they_share_a_clock() {
    let (mock, custom) = (MockClock::new(), Arc::new(Counting::default()) as Arc<dyn Clock>);
    let clocks: [SharedClock; 4] = [
        MonotonicClock.into(),
        mock.clone().into(),
        MockClock::new().into(),
        custom.clone().into(),
    ];

    for (left, one) in clocks.iter().enumerate() {
        for (right, another) in clocks.iter().enumerate() {
            assert_eq!(left == right, one.same(another), "{one:?} and {another:?}");
        }
    }
    assert!(clocks[1].same(&mock.into()) && clocks[3].same(&custom.into()));
    assert!(clocks[0].same(&SharedClock::default()));
}

#[test]
fn only_a_mock_is_a_mock_and_only_built_in_clocks_move_sleepers() {
    let custom = SharedClock::from(Arc::new(Counting::default()) as Arc<dyn Clock>);

    assert!(SharedClock::from(MockClock::new()).is_mock());
    assert!(!SharedClock::default().is_mock() && !custom.is_mock());
    assert!(SharedClock::from(MockClock::new()).moves_sleepers());
    assert!(SharedClock::default().moves_sleepers());
    assert!(!custom.moves_sleepers());
}
