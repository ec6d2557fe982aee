//! What a breaker does with the readings of a clock: few, outside the lock, old or failing ones.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{
    BreakerCell, BreakerOptions, BreakerSettings, CircuitBreaker, CircuitState, Clock, Instant,
    Outcome, Sleep,
};

use super::SECOND;

/// A clock that reads what it was told to, the last reading for ever.
#[derive(Debug, Default)]
struct Script {
    readings: Mutex<VecDeque<u64>>,
    asked: AtomicU32,
}

impl Script {
    fn read_next(&self, seconds: &[u64]) {
        *self.readings.lock().unwrap() = seconds.iter().copied().collect();
    }
}

impl Clock for Script {
    fn now(&self) -> Instant {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut readings = self.readings.lock().unwrap();
        let seconds =
            if readings.len() > 1 { readings.pop_front() } else { readings.front().copied() };
        Instant::ZERO + Duration::from_secs(seconds.unwrap_or(0))
    }

    fn sleep_blocking(&self, _: Duration) {
        unreachable!("a breaker never sleeps")
    }

    fn sleep(&self, _: Duration) -> Sleep {
        unreachable!("a breaker never sleeps")
    }
}

fn scripted() -> (CircuitBreaker, Arc<Script>) {
    let script = Arc::new(Script::default());
    let clock: Arc<dyn Clock> = script.clone();
    let builder = CircuitBreaker::builder().failure_threshold(1).recovery_timeout(10 * SECOND);
    (builder.clock(clock).build().unwrap(), script)
}

#[test]
fn a_healthy_circuit_never_reads_the_clock() {
    let (breaker, script) = scripted();

    for _ in 0..100 {
        assert!(breaker.allow());
        breaker.record_success();
        assert_eq!(Ok(7), breaker.call_blocking(|| Ok::<_, ()>(7)));
        assert_eq!(CircuitState::Closed, breaker.state());
    }

    assert_eq!(0, script.asked.load(Ordering::Relaxed));
}

#[test]
fn a_closed_circuit_admits_without_the_clock_also_after_a_failure() {
    let script = Arc::new(Script::default());
    let clock: Arc<dyn Clock> = script.clone();
    let breaker = CircuitBreaker::builder().failure_threshold(2).clock(clock).build().unwrap();
    breaker.record_failure();

    assert!(breaker.allow());

    assert_eq!(1, script.asked.load(Ordering::Relaxed), "for the failure alone");
}

/// A thread read the clock at 0, was preempted, and comes to use the reading at 101.
#[test]
fn the_old_reading_of_a_preempted_thread_is_read_again_and_shortens_nothing() {
    let (breaker, script) = scripted();
    script.read_next(&[100]);
    breaker.record_failure();

    script.read_next(&[0, 101]);
    assert!(!breaker.allow());

    assert_eq!(CircuitState::Open, breaker.state());
    script.read_next(&[109]);
    assert_eq!(CircuitState::Open, breaker.state());
    script.read_next(&[110]);
    assert_eq!(CircuitState::HalfOpen, breaker.state());
}

#[test]
fn a_clock_set_back_locks_nobody_out_of_an_open_circuit_for_longer_than_the_timeout() {
    let (breaker, script) = scripted();
    script.read_next(&[1_000_000]);
    breaker.record_failure();

    script.read_next(&[5]);
    assert!(!breaker.allow());
    script.read_next(&[14]);
    assert!(!breaker.allow());
    script.read_next(&[15]);

    assert!(breaker.allow());
}

#[test]
fn a_clock_set_back_keeps_no_probe_out_for_longer_than_the_timeout() {
    let (breaker, script) = scripted();
    script.read_next(&[1_000_000]);
    breaker.record_failure();
    script.read_next(&[1_000_010]);
    assert!(breaker.allow());

    script.read_next(&[5]);
    assert!(!breaker.allow());
    script.read_next(&[15]);

    assert!(breaker.allow());
}

#[test]
fn a_clock_at_the_end_of_time_panics_nowhere() {
    let cell = BreakerCell::new(BreakerSettings::new(1, SECOND, 1).unwrap());
    let end = || Ok::<_, Infallible>(Instant::MAX);

    let Ok(()) = cell.record_bare(Outcome::Failure, end);

    let Ok(state) = cell.state(end);
    assert_eq!(CircuitState::HalfOpen, state);
}

#[test]
fn a_failing_clock_comes_out_unchanged_and_no_permit_is_lost() {
    let cell = BreakerCell::new(BreakerSettings::new(1, 10 * SECOND, 1).unwrap());
    let at = |seconds| move || Ok::<_, &str>(Instant::ZERO + Duration::from_secs(seconds));
    let broken = || Err("the clock fell down");
    cell.record_bare(Outcome::Failure, at(0)).unwrap();

    assert_eq!(Err("the clock fell down"), cell.state(broken));
    assert_eq!(Err("the clock fell down"), cell.allow(broken));
    assert_eq!(Err("the clock fell down"), cell.record_bare(Outcome::Success, broken));
    let permit = cell.admit(at(10)).unwrap().unwrap();
    assert!(cell.admit(at(10)).unwrap().is_err());
    assert_eq!(Err("the clock fell down"), cell.record(permit, Outcome::Success, broken));

    assert_eq!(Ok(CircuitState::HalfOpen), cell.state(at(10)));
    assert!(cell.admit(at(10)).unwrap().is_ok());
}

#[test]
fn a_permit_that_is_still_good_is_renewed_as_it_is() {
    let cell = BreakerCell::new(BreakerSettings::new(1, 10 * SECOND, 1).unwrap());
    let at = |seconds| move || Ok::<_, Infallible>(Instant::ZERO + Duration::from_secs(seconds));
    let renew = |permit, seconds| {
        let Ok(renewed) = cell.renew(permit, at(seconds));
        renewed
    };
    let Ok(Ok(closed)) = cell.admit(at(0)) else { panic!("a closed circuit refused") };

    assert_eq!(Ok(closed), renew(closed, 0));
    let Ok(()) = cell.record_bare(Outcome::Failure, at(0));
    assert!(renew(closed, 9).is_err());
    let probe = renew(closed, 10).unwrap();
    assert_ne!(closed, probe);
    assert_eq!(Ok(probe), renew(probe, 19));
    let next = renew(probe, 20).unwrap();

    assert_ne!(probe, next, "it had lapsed");
    assert!(renew(probe, 20).is_err(), "and the next has its place");
}

#[test]
fn a_permit_of_an_earlier_half_open_state_is_no_longer_good() {
    let cell = BreakerCell::new(BreakerSettings::new(1, 10 * SECOND, 1).unwrap());
    let at = |seconds| move || Ok::<_, Infallible>(Instant::ZERO + Duration::from_secs(seconds));
    let Ok(()) = cell.record_bare(Outcome::Failure, at(0));
    let Ok(Ok(old)) = cell.admit(at(10)) else { panic!("the place was not free") };
    let Ok(()) = cell.record(old, Outcome::Failure, at(10));
    let Ok(Ok(_new)) = cell.admit(at(20)) else { panic!("the place was not free") };

    let Ok(renewed) = cell.renew(old, at(20));
    let Ok(()) = cell.record(old, Outcome::Success, at(20));

    assert!(renewed.is_err());
    assert_eq!(Ok(CircuitState::HalfOpen), cell.state(at(20)));
}

/// Returns a circuit that has just half-opened, at 1,000 s.
fn half_open(options: BreakerOptions) -> BreakerCell {
    let options = BreakerOptions { failure_threshold: Some(1), ..options };
    let cell = BreakerCell::new(BreakerSettings::checked(options).unwrap());
    let Ok(()) = cell.record_bare(Outcome::Failure, second(995));
    assert_eq!(CircuitState::HalfOpen, state(&cell, 1_000));
    cell
}

fn second(seconds: u64) -> impl Fn() -> Result<Instant, Infallible> {
    move || Ok(Instant::ZERO + Duration::from_secs(seconds))
}

fn state(cell: &BreakerCell, seconds: u64) -> CircuitState {
    let Ok(state) = cell.state(second(seconds));
    state
}

#[test]
fn a_clock_set_back_keeps_it_half_open_for_no_longer_than_it_may() {
    let options =
        BreakerOptions { half_open_timeout: Some(3 * SECOND), ..BreakerOptions::default() };
    let cell = half_open(options);
    let Ok(allowed) = cell.allow(second(1_000));
    assert!(allowed);

    assert_eq!(CircuitState::HalfOpen, state(&cell, 5));

    assert_eq!(CircuitState::HalfOpen, state(&cell, 7));
    assert_eq!(CircuitState::Open, state(&cell, 8));
}

#[test]
fn a_clock_set_back_lengthens_a_ramp_by_no_more_than_itself() {
    let options = BreakerOptions {
        ramp: vec![0.5],
        ramp_step: Some(10 * SECOND),
        ..BreakerOptions::default()
    };
    let cell = half_open(options);
    let Ok(()) = cell.record_bare(Outcome::Success, second(1_000));
    assert_eq!(CircuitState::HalfOpen, state(&cell, 1_009));

    assert_eq!(CircuitState::HalfOpen, state(&cell, 5));

    assert_eq!(CircuitState::HalfOpen, state(&cell, 14));
    assert_eq!(CircuitState::Closed, state(&cell, 15));
}
