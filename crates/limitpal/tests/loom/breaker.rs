//! The breaker's word against its machine: no report is lost, no permit too many is lent, and
//! afterwards the word says what the machine does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use limitpal::{BreakerCell, BreakerSettings, CircuitState, Instant, Outcome, Permit};
use loom::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use loom::thread;

use super::{at, model};

/// Makes a breaker that stays open for ten seconds.
fn breaker(failures: u32, probes: u32) -> Arc<BreakerCell> {
    let settings = BreakerSettings::new(failures, Duration::from_secs(10), probes);
    Arc::new(BreakerCell::new(settings.expect("good settings")))
}

/// Makes one that opened at 0 for want of `failures` good calls, and a permit from before.
fn opened(failures: u32, probes: u32) -> (Arc<BreakerCell>, Permit) {
    let cell = breaker(failures, probes);
    let permit = admit(&cell, 0).expect("it is closed");
    for _ in 0..failures {
        fail(&cell, permit, 0);
    }
    assert_eq!(CircuitState::Open, state(&cell, 9));
    (cell, permit)
}

fn admit(cell: &BreakerCell, seconds: i64) -> Option<Permit> {
    let Ok(lent) = cell.admit(at(seconds));
    lent.ok()
}

fn succeed(cell: &BreakerCell, permit: Permit, seconds: i64) {
    let Ok(()) = cell.record(permit, Outcome::Success, at(seconds));
}

fn fail(cell: &BreakerCell, permit: Permit, seconds: i64) {
    let Ok(()) = cell.record(permit, Outcome::Failure, at(seconds));
}

fn state(cell: &BreakerCell, seconds: i64) -> CircuitState {
    let Ok(state) = cell.state(at(seconds));
    state
}

/// Lets another thread do something with the breaker, and this one something else.
fn both(
    cell: &Arc<BreakerCell>,
    other: impl FnOnce(&BreakerCell) + 'static,
    own: impl FnOnce(&BreakerCell),
) {
    let shared = cell.clone();
    let thread = thread::spawn(move || other(&shared));
    own(cell);
    thread.join().expect("the other thread did not panic");
}

#[test]
fn the_word_says_healthy_only_where_no_failure_is_counted() {
    model(|| {
        let cell = breaker(3, 1);
        let permit = admit(&cell, 0).expect("it is closed");
        fail(&cell, permit, 0);
        both(&cell, move |cell| succeed(cell, permit, 0), move |cell| fail(cell, permit, 0));

        // However many failures are left, one success makes up for them.
        succeed(&cell, permit, 0);
        fail(&cell, permit, 0);
        fail(&cell, permit, 0);
        assert_eq!(CircuitState::Closed, state(&cell, 0), "the success was not counted");
        fail(&cell, permit, 0);
        assert_eq!(CircuitState::Open, state(&cell, 0));
    });
}

#[test]
fn a_reset_closes_it_whatever_is_reported() {
    model(|| {
        let (cell, stale) = opened(2, 1);
        let probe = admit(&cell, 10).expect("one may be out");
        let other = move |cell: &BreakerCell| {
            let Ok(renewed) = cell.renew(stale, at(10));
            renewed.ok().inspect(|permit| fail(cell, *permit, 10));
        };
        let own = |cell: &BreakerCell| {
            cell.reset();
            succeed(cell, probe, 10);
        };
        both(&cell, other, own);

        // Renewed after the reset, the other's permit is one of the closed state.
        assert_eq!(CircuitState::Closed, state(&cell, 10));
        let permit = admit(&cell, 10).expect("it is closed");
        succeed(&cell, permit, 10);
        fail(&cell, permit, 10);
        assert_eq!(CircuitState::Closed, state(&cell, 10), "the success was not counted");
    });
}

#[test]
fn who_reports_without_a_permit_is_counted_once() {
    model(|| {
        let (cell, _) = opened(1, 2);
        let call = |cell: &BreakerCell| {
            let Ok(allowed) = cell.allow(at(10));
            assert!(allowed, "two may be out");
            let Ok(()) = cell.record_bare(Outcome::Success, at(10));
        };
        both(&cell, call, |_| ());
        assert_eq!(CircuitState::HalfOpen, state(&cell, 10));
        both(&cell, call, |cell| assert!(admit(cell, 10).is_some()));

        assert_eq!(CircuitState::Closed, state(&cell, 10));
    });
}

#[test]
fn no_failure_is_lost() {
    model(|| {
        let cell = breaker(3, 1);
        let permit = admit(&cell, 0).expect("it is closed");
        let shared = cell.clone();
        let third = thread::spawn(move || fail(&shared, permit, 0));
        both(&cell, move |cell| fail(cell, permit, 0), move |cell| fail(cell, permit, 0));
        third.join().expect("the other thread did not panic");

        assert_eq!(CircuitState::Open, state(&cell, 9));
        assert_eq!(None, admit(&cell, 9));
    });
}

#[test]
fn a_call_admitted_while_it_opens_closes_nothing_later() {
    model(|| {
        let cell = breaker(1, 1);
        let permit = admit(&cell, 0).expect("it is closed");
        let late = |cell: &BreakerCell| {
            let late = admit(cell, 0);
            late.inspect(|late| succeed(cell, *late, 0));
            late.inspect(|late| succeed(cell, *late, 10));
        };
        both(&cell, move |cell| fail(cell, permit, 0), late);

        assert_eq!(CircuitState::HalfOpen, state(&cell, 10));
    });
}

#[test]
fn no_more_probes_are_lent_than_allowed() {
    model(|| {
        let (cell, _) = opened(1, 2);
        let ask = |cell: Arc<BreakerCell>| thread::spawn(move || admit(&cell, 10));
        let threads = [ask(cell.clone()), ask(cell.clone())];
        let own = admit(&cell, 10);
        let lent = threads.map(|thread| thread.join().expect("no thread panicked"));
        let lent: Vec<Permit> = lent.into_iter().chain([own]).flatten().collect();

        assert_eq!(2, lent.len());
        assert_ne!(lent[0], lent[1]);
    });
}

#[test]
fn a_probe_is_lent_again_only_once_it_is_given_back() {
    model(|| {
        let (cell, _) = opened(1, 1);
        let out = Arc::new(AtomicUsize::new(0));
        let probe = |cell: &BreakerCell, out: &AtomicUsize| {
            let Some(permit) = admit(cell, 10) else { return };
            assert_eq!(0, out.fetch_add(1, Ordering::Relaxed), "two are out");
            out.fetch_sub(1, Ordering::Relaxed);
            cell.give_back(permit);
        };
        let others = out.clone();
        both(&cell, move |cell| probe(cell, &others), move |cell| probe(cell, &out));

        assert!(admit(&cell, 10).is_some(), "one was not given back");
    });
}

#[test]
fn no_success_of_a_probe_is_lost() {
    model(|| {
        let (cell, _) = opened(1, 2);
        let probes = [admit(&cell, 10), admit(&cell, 10)];
        let [one, other] = probes.map(|permit| permit.expect("two may be out"));
        both(&cell, move |cell| succeed(cell, other, 10), |cell| succeed(cell, one, 10));

        assert_eq!(CircuitState::Closed, state(&cell, 10));
    });
}

#[test]
fn one_failure_opens_it_again_whatever_else_is_reported() {
    model(|| {
        let (cell, _) = opened(1, 2);
        let probes = [admit(&cell, 10), admit(&cell, 10)];
        let [one, other] = probes.map(|permit| permit.expect("two may be out"));
        both(&cell, move |cell| succeed(cell, other, 10), |cell| fail(cell, one, 10));

        assert_eq!(CircuitState::Open, state(&cell, 19));
    });
}

#[test]
fn a_permit_given_back_takes_nothing_from_the_others() {
    model(|| {
        let (cell, _) = opened(1, 2);
        let probes = [admit(&cell, 10), admit(&cell, 10)];
        let [one, other] = probes.map(|permit| permit.expect("two may be out"));
        both(&cell, move |cell| cell.give_back(other), |cell| succeed(cell, one, 10));

        let next = [admit(&cell, 10), admit(&cell, 10), admit(&cell, 10)];
        assert!(next[1].is_some() && next[2].is_none(), "two may be out: {next:?}");
        succeed(&cell, next[0].expect("two may be out"), 10);
        assert_eq!(CircuitState::Closed, state(&cell, 10));
    });
}

#[test]
fn a_permit_of_an_earlier_state_never_counts() {
    model(|| {
        let (cell, stale) = opened(2, 1);
        let probe = admit(&cell, 10).expect("one may be out");
        both(&cell, move |cell| fail(cell, stale, 10), |cell| succeed(cell, probe, 10));

        assert_eq!(CircuitState::Closed, state(&cell, 10));
        let permit = admit(&cell, 10).expect("it is closed");
        fail(&cell, permit, 10);
        assert_eq!(CircuitState::Closed, state(&cell, 10), "the stale one was counted");
        fail(&cell, permit, 10);
        assert_eq!(CircuitState::Open, state(&cell, 10));
    });
}

#[test]
fn a_thread_that_read_the_clock_long_ago_takes_no_time_from_a_probe() {
    model(|| {
        let (cell, _) = opened(1, 1);
        let clock = Arc::new(AtomicI64::new(10));
        let read = |clock: Arc<AtomicI64>| {
            move || -> Result<Instant, Infallible> { at(clock.load(Ordering::Acquire))() }
        };
        let (shared, slow) = (cell.clone(), read(clock.clone()));
        let slow = thread::spawn(move || {
            let Ok(lent) = shared.admit(slow);
            lent.ok()
        });
        clock.store(25, Ordering::Release);
        let Ok(lent) = cell.admit(read(clock));
        let slow = slow.join().expect("the other thread did not panic");

        let last = lent.ok().or(slow).expect("one of them came first");
        succeed(&cell, last, 25);
        assert_eq!(CircuitState::Closed, state(&cell, 25), "it has not lapsed yet");
    });
}
