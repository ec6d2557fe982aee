//! Tokio's time: real, or paused by a test.

use std::time::Duration;

use limitpal::{Clock, MonotonicClock, SharedClock, TokioClock};

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(5);

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn a_monotonic_sleep_inside_tokio_is_on_tokios_timer() {
    // Paused time jumps over tokio's timers, and over nothing else.
    paused().block_on(async { MonotonicClock.sleep(HOUR).await });
}

#[test]
fn the_tokio_clock_follows_paused_time() {
    paused().block_on(async {
        let start = TokioClock.now();

        tokio::time::advance(HOUR).await;
        assert_eq!(start + HOUR, TokioClock.now());
        TokioClock.sleep(HOUR).await;
        assert_eq!(start + HOUR * 2, TokioClock.now());
    });
}

#[test]
fn the_tokio_clock_of_another_runtime_may_lie_before() {
    let ahead = paused().block_on(async {
        tokio::time::advance(HOUR).await;
        TokioClock.now()
    });
    let other = paused().block_on(async { TokioClock.now() });

    assert!(other < ahead);
    assert!(TokioClock.now() < ahead, "outside a runtime it is real time");
}

#[test]
fn a_blocking_sleep_of_the_tokio_clock_is_real() {
    let start = MonotonicClock.now();
    paused().block_on(async { TokioClock.sleep_blocking(MOMENT) });
    assert!(MonotonicClock.now() >= start + MOMENT);
}

#[test]
fn the_shared_handle_stands_for_the_tokio_clock() {
    let clock = SharedClock::from(TokioClock);

    paused().block_on(async {
        let start = clock.now();
        clock.sleep(HOUR).await;
        assert_eq!(start + HOUR, clock.now());
    });

    assert!(clock.same(&TokioClock.into()) && !clock.same(&MonotonicClock.into()));
    assert!(clock.moves_sleepers() && !clock.is_mock());
}
