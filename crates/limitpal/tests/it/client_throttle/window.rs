//! How long a throttle remembers, and what it makes of the readings of a clock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{ClientThrottle, Clock, Instant, Sleep};

use super::{SECOND, attempt, seeded, throttle};

const NANOSECOND: Duration = Duration::from_nanos(1);

#[test]
fn a_request_at_the_start_of_a_slice_is_remembered_for_a_whole_window() {
    let (throttle, clock) = throttle();
    throttle.allow();
    throttle.record_accept();

    clock.advance(120 * SECOND - NANOSECOND);
    assert_eq!((1, 1), (throttle.requests(), throttle.accepts()));
    clock.advance(NANOSECOND);

    assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
}

#[test]
fn a_request_at_the_end_of_a_slice_is_remembered_for_a_sixtieth_less() {
    let (throttle, clock) = throttle();
    clock.advance(2 * SECOND - NANOSECOND);
    throttle.allow();

    clock.advance(118 * SECOND);
    assert_eq!(1, throttle.requests());
    clock.advance(NANOSECOND);

    assert_eq!(0, throttle.requests());
}

#[test]
fn the_window_slides_slice_by_slice() {
    let (throttle, clock) = throttle();
    for _ in 0..60 {
        throttle.allow();
        clock.advance(2 * SECOND);
    }

    for left in (0..60).rev() {
        assert_eq!(left, throttle.requests());
        clock.advance(2 * SECOND);
    }
}

#[test]
fn a_quiet_spell_empties_it_however_long() {
    for quiet in [120 * SECOND, 121 * SECOND, 100_000 * SECOND, Duration::from_secs(9_000_000_000)]
    {
        let (throttle, clock) = throttle();
        attempt(&throttle, 100);
        throttle.record_accept();
        throttle.record_rejection();
        assert!(throttle.rejection_probability() > 0.9);

        clock.advance(quiet);

        assert_eq!(0.0, throttle.rejection_probability(), "after {quiet:?}");
        assert_eq!((0, 0), (throttle.requests(), throttle.accepts()));
    }
}

#[test]
fn refusals_of_its_own_are_forgotten_like_the_rest() {
    let (throttle, clock) = throttle();
    throttle.allow();
    throttle.record_rejection();
    clock.advance(100 * SECOND);
    while throttle.allow() {}
    let refused_at = throttle.requests();

    clock.advance(30 * SECOND);
    assert_eq!(refused_at - 1, throttle.requests(), "the rejected one is forgotten");
    assert!(throttle.rejection_probability() > 0.0, "one was turned away here");
    clock.advance(90 * SECOND);

    assert_eq!(0.0, throttle.rejection_probability());
}

#[test]
fn a_window_of_any_length_works() {
    for window in [NANOSECOND, 59 * NANOSECOND, 7 * SECOND, Duration::from_secs(3_000_000_000)] {
        let clock = limitpal::MockClock::starting_at(Instant::from_nanos(-5_000_000_001));
        let throttle = seeded(&clock).window(window).build().unwrap();
        throttle.allow();
        assert_eq!(1, throttle.requests());

        clock.advance(window + window + 60 * NANOSECOND);

        assert_eq!(0, throttle.requests(), "{window:?}");
    }
}

/// A clock that reads what it was told to, the last reading for ever.
#[derive(Debug, Default)]
struct Script(Mutex<VecDeque<u64>>);

impl Script {
    fn read_next(&self, seconds: &[u64]) {
        *self.0.lock().unwrap() = seconds.iter().copied().collect();
    }
}

impl Clock for Script {
    fn now(&self) -> Instant {
        let mut readings = self.0.lock().unwrap();
        let seconds =
            if readings.len() > 1 { readings.pop_front() } else { readings.front().copied() };
        Instant::ZERO + Duration::from_secs(seconds.unwrap_or(0))
    }

    fn sleep_blocking(&self, _: Duration) {
        unreachable!("a throttle never sleeps")
    }

    fn sleep(&self, _: Duration) -> Sleep {
        unreachable!("a throttle never sleeps")
    }
}

fn scripted() -> (ClientThrottle, Arc<Script>) {
    let script = Arc::new(Script::default());
    let clock: Arc<dyn Clock> = script.clone();
    (ClientThrottle::builder().clock(clock).build().unwrap(), script)
}

/// A thread read the clock at 100, was preempted, and comes to use the reading at 200.
#[test]
fn a_reading_that_lost_a_race_is_read_again() {
    let (throttle, script) = scripted();
    script.read_next(&[200]);
    throttle.allow();

    script.read_next(&[100, 200]);
    throttle.allow();

    script.read_next(&[200 + 117]);
    assert_eq!(2, throttle.requests());
    script.read_next(&[200 + 120]);
    assert_eq!(0, throttle.requests(), "time went on from 200");
}

#[test]
fn a_clock_set_back_forgets_nothing_and_goes_on_from_there() {
    let (throttle, script) = scripted();
    script.read_next(&[10_000]);
    throttle.allow();

    script.read_next(&[0]);
    assert_eq!(1, throttle.requests());
    throttle.allow();

    script.read_next(&[118]);
    assert_eq!(2, throttle.requests());
    script.read_next(&[120]);
    assert_eq!(0, throttle.requests(), "a window after the step back");
}
