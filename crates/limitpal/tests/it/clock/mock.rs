//! The mock clock: time, sleepers, who wakes when.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use limitpal::{Clock, Instant, MockClock, SharedClock, Sleep};

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u64) -> Instant {
    Instant::ZERO + SECOND * seconds as u32
}

/// Calls a closure when woken.
struct Call<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Call<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Call(call)).into()
}

fn poll(sleep: &mut Sleep) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let clock = MockClock::new();

    assert_eq!(Instant::ZERO, clock.now());
    clock.advance(SECOND);
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Instant::from_nanos(1_000_000_001), clock.now());
    assert_eq!(at(7), MockClock::starting_at(at(7)).now());
}

#[test]
fn a_clone_is_the_same_clock() {
    let clock = MockClock::new();
    let clone = clock.clone();

    clone.advance(SECOND);

    assert_eq!(at(1), clock.now());
    assert!(SharedClock::from(clone).same(&SharedClock::from(&clock)));
}

#[test]
fn time_saturates_at_the_end() {
    let clock = MockClock::starting_at(Instant::MAX);

    clock.advance(Duration::MAX);
    clock.sleep_blocking(Duration::MAX);

    assert_eq!(Instant::MAX, clock.now());
}

#[test]
fn a_sleep_is_over_at_its_deadline_and_not_a_nanosecond_before() {
    let clock = MockClock::new();
    let mut sleep = Clock::sleep(&clock, SECOND);
    assert_eq!(Poll::Pending, poll(&mut sleep));

    clock.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(Poll::Pending, poll(&mut sleep));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(Poll::Ready(()), poll(&mut sleep));
}

#[test]
fn a_sleep_counts_from_the_call_not_from_the_first_poll() {
    let clock = MockClock::new();
    let mut sleep = Clock::sleep(&clock, SECOND);

    clock.advance(SECOND);

    assert_eq!(Poll::Ready(()), poll(&mut sleep));
}

#[test]
fn no_time_is_no_sleep() {
    assert_eq!(Poll::Ready(()), poll(&mut Clock::sleep(&MockClock::new(), Duration::ZERO)));
}

#[test]
fn sleepers_wake_by_deadline_and_first_come_first_served_among_equals() {
    let clock = MockClock::new();
    let woken = Arc::new(Mutex::new(Vec::new()));
    for (name, deadline) in [('a', 3), ('b', 1), ('c', 2), ('d', 1), ('e', 9)] {
        let (woken, reader) = (woken.clone(), clock.clone());
        clock.register(
            at(deadline),
            waker(move || woken.lock().unwrap().push((name, reader.now()))),
        );
    }

    clock.advance(SECOND * 5);

    let at_five = ['b', 'd', 'c', 'a'].map(|name| (name, at(5)));
    assert_eq!(at_five.as_slice(), woken.lock().unwrap().as_slice());
    assert_eq!(Some(SECOND * 4), clock.next_deadline());
}

#[test]
fn a_sleeper_whose_waker_changed_keeps_its_place() {
    let clock = MockClock::new();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let push = |name| {
        let woken = woken.clone();
        waker(move || woken.lock().unwrap().push(name))
    };
    let (mut first, mut second) = (Clock::sleep(&clock, SECOND), Clock::sleep(&clock, SECOND));
    assert!(first.as_mut().poll(&mut Context::from_waker(&push("old"))).is_pending());
    assert!(second.as_mut().poll(&mut Context::from_waker(&push("second"))).is_pending());
    assert!(first.as_mut().poll(&mut Context::from_waker(&push("first"))).is_pending());

    clock.advance(SECOND);

    assert_eq!(["first", "second"].as_slice(), woken.lock().unwrap().as_slice());
}

#[test]
fn a_waker_may_sleep_anew_and_is_woken_in_the_same_advance_when_due() {
    let clock = MockClock::new();
    let woken = Arc::new(Mutex::new(Vec::new()));
    let push = |name| {
        let woken = woken.clone();
        move || woken.lock().unwrap().push(name)
    };
    let (inner, registered) = (clock.clone(), push("early"));
    let late = Mutex::new(Some(waker(push("late"))));
    clock.register(
        at(1),
        waker(move || {
            registered();
            inner.register(at(4), late.lock().unwrap().take().expect("a waker wakes once"));
        }),
    );
    clock.register(at(3), waker(push("middle")));

    clock.advance(SECOND * 5);

    assert_eq!(["early", "middle", "late"].as_slice(), woken.lock().unwrap().as_slice());
}

/// A waker, and how often it woke.
fn counter() -> (Waker, impl Fn() -> usize) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = wakes.clone();
    let wake = waker(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (wake, move || wakes.load(Ordering::Relaxed))
}

#[test]
fn who_registers_late_is_woken_at_once() {
    let clock = MockClock::starting_at(at(5));
    let (waker, wakes) = counter();

    clock.register(at(5), waker);

    assert_eq!(1, wakes());
    assert_eq!(None, clock.next_deadline());
}

#[test]
fn a_waker_that_panics_takes_nobodys_place() {
    let clock = MockClock::new();
    let (second, wakes) = counter();
    clock.register(at(1), waker(|| panic!("a bad waker")));
    clock.register(at(2), second);

    let advance = std::panic::AssertUnwindSafe(|| clock.advance(SECOND * 2));
    assert!(std::panic::catch_unwind(advance).is_err());

    clock.advance(Duration::ZERO);
    assert_eq!(1, wakes());
}

#[test]
fn a_dropped_sleep_moves_no_time_and_leaves_nothing_behind() {
    let clock = MockClock::new();
    let mut dropped = Clock::sleep(&clock, SECOND);
    let mut kept = Clock::sleep(&clock, SECOND * 2);
    assert!(poll(&mut dropped).is_pending() && poll(&mut kept).is_pending());

    drop(dropped);

    assert_eq!(Some(SECOND * 2), clock.next_deadline());
    drop(kept);
    assert_eq!(None, clock.next_deadline());
    assert!(!clock.jump());
    assert_eq!(Instant::ZERO, clock.now());
}

#[test]
fn a_waker_that_never_woke_is_dropped_outside_the_lock() {
    struct Reenter(MockClock);
    impl Wake for Reenter {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Reenter {
        fn drop(&mut self) {
            self.0.next_deadline();
        }
    }
    let clock = MockClock::new();
    let mut sleep = Clock::sleep(&clock, SECOND);
    let reenter: Waker = Arc::new(Reenter(clock.clone())).into();
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&reenter)).is_pending());
    drop(reenter);

    assert!(poll(&mut sleep).is_pending());
    let id = clock.register(at(1), Arc::new(Reenter(clock.clone())).into());
    assert!(clock.unregister(id).is_some());
    assert!(clock.unregister(id).is_none());
}

#[test]
fn set_time_forward_wakes_who_is_due() {
    let clock = MockClock::new();
    let mut sleep = Clock::sleep(&clock, SECOND);
    assert!(poll(&mut sleep).is_pending());

    clock.set_time(at(1));

    assert_eq!(at(1), clock.now());
    assert_eq!(Poll::Ready(()), poll(&mut sleep));
}

#[test]
fn sleepers_keep_the_time_they_had_left_when_time_is_set_back() {
    let clock = MockClock::starting_at(at(100));
    let mut sleep = Clock::sleep(&clock, SECOND * 3);
    assert!(poll(&mut sleep).is_pending());
    clock.advance(SECOND);

    clock.set_time(at(10));

    assert_eq!(at(10), clock.now());
    assert_eq!(Some(SECOND * 2), clock.next_deadline());
    clock.set_time(at(12).saturating_sub(Duration::from_nanos(1)));
    assert!(poll(&mut sleep).is_pending());
    clock.advance(Duration::from_nanos(1));
    assert_eq!(at(12), clock.now());
    assert!(poll(&mut sleep).is_ready());
}

#[test]
fn a_sleep_begun_after_time_was_set_back_lasts_its_span() {
    let clock = MockClock::starting_at(at(100));
    clock.set_time(at(10));
    let mut sleep = Clock::sleep(&clock, SECOND);

    assert!(poll(&mut sleep).is_pending());
    clock.advance(SECOND);

    assert_eq!(at(11), clock.now());
    assert!(poll(&mut sleep).is_ready());
}

#[test]
fn the_shared_handle_never_steps_back() {
    let clock = MockClock::starting_at(at(100));
    let handle = SharedClock::from(&clock);

    clock.set_time(at(10));
    assert_eq!(at(100), handle.now());
    clock.set_time(at(11));
    assert_eq!(at(101), handle.now());
}

#[test]
fn a_blocking_sleep_moves_the_clock_to_its_own_deadline() {
    let clock = MockClock::new();
    let mut due = Clock::sleep(&clock, SECOND);
    let mut later = Clock::sleep(&clock, SECOND * 9);
    assert!(poll(&mut due).is_pending() && poll(&mut later).is_pending());

    clock.sleep_blocking(SECOND * 5);

    assert_eq!(at(5), clock.now());
    assert!(poll(&mut due).is_ready());
    assert!(poll(&mut later).is_pending());
}

#[test]
fn threads_that_sleep_at_once_end_at_the_same_time() {
    let together = (0..100_000).any(|_| {
        let (clock, ready) = (MockClock::new(), AtomicUsize::new(0));
        let sleep = || {
            ready.fetch_add(1, Ordering::AcqRel);
            while ready.load(Ordering::Acquire) < 2 {
                std::hint::spin_loop();
            }
            clock.sleep_blocking(SECOND * 5);
        };
        std::thread::scope(|scope| {
            scope.spawn(sleep);
            sleep();
        });
        // A thread that came when the other had slept ends at ten.
        assert!([at(5), at(10)].contains(&clock.now()), "{clock:?}");
        clock.now() == at(5)
    });

    assert!(together, "two threads never slept at once");
}

#[test]
fn a_jump_goes_to_the_earliest_sleeper_and_no_further() {
    let clock = MockClock::new();
    let mut first = Clock::sleep(&clock, SECOND * 2);
    let mut second = Clock::sleep(&clock, SECOND * 4);
    assert!(poll(&mut second).is_pending() && poll(&mut first).is_pending());

    assert!(clock.jump());

    assert_eq!(at(2), clock.now());
    assert!(poll(&mut first).is_ready() && poll(&mut second).is_pending());
}
