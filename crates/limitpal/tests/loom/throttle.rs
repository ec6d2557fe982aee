//! What is counted and taken back: no request, accept or place is lost, whoever comes between.

use std::sync::Arc;
use std::time::Duration;

use limitpal::AdaptiveAlgorithm;
use limitpal::parts::{
    AdaptiveCell, AdaptiveSettings, Answer, Counted, ThrottleCell, ThrottleSettings,
};
use loom::thread;

use super::{at, model};

/// Makes a throttle whose slices last a second, that has counted one request.
fn throttle() -> (Arc<ThrottleCell>, Counted) {
    let settings = ThrottleSettings::new(2.0, Duration::from_secs(60), 1.0).expect("good settings");
    let cell = Arc::new(ThrottleCell::new(settings, Some(7)));
    let Ok(admitted) = cell.admit(at(0));
    (cell, admitted.expect("nobody was turned away yet"))
}

fn counts(cell: &ThrottleCell, seconds: i64) -> (u64, u64) {
    let (Ok(requests), Ok(accepts)) = (cell.requests(at(seconds)), cell.accepts(at(seconds)));
    (requests, accepts)
}

fn call(cell: &ThrottleCell, seconds: i64) {
    let Ok(admitted) = cell.admit(at(seconds));
    let counted = admitted.expect("nobody was turned away yet");
    let Ok(()) = cell.settle(counted, Answer::Accepted, at(seconds));
}

#[test]
fn one_who_is_cancelled_takes_back_its_own_request_and_no_other() {
    model(|| {
        let (cell, cancelled) = throttle();
        let shared = cell.clone();
        // A slice later, so that the window moves between or not.
        let thread = thread::spawn(move || call(&shared, 1));
        cell.take_back(cancelled);
        thread.join().expect("the other thread did not panic");

        assert_eq!((1, 1), counts(&cell, 1));
    });
}

#[test]
fn an_answer_from_before_a_reset_never_counts_after_it() {
    model(|| {
        let (cell, counted) = throttle();
        let shared = cell.clone();
        let thread = thread::spawn(move || {
            let Ok(()) = shared.settle(counted, Answer::Accepted, at(0));
        });
        cell.reset();
        thread.join().expect("the other thread did not panic");

        assert_eq!((0, 0), counts(&cell, 0));
    });
}

#[test]
fn no_more_places_are_taken_than_there_are_and_all_come_back() {
    model(|| {
        let settings = AdaptiveSettings::new(AdaptiveAlgorithm::Aimd, (1, 9), Some(1));
        let cell = Arc::new(AdaptiveCell::new(settings.expect("good settings"), None));
        let Ok(first) = cell.try_acquire(at(0));
        let first = first.expect("there is one place");
        let shared = cell.clone();
        let thread = thread::spawn(move || {
            let Ok(taken) = shared.try_acquire(at(0));
            taken.inspect(|taken| shared.dropped(*taken)).is_some()
        });
        let Ok(()) = cell.succeeded(first, at(1));
        let Ok(next) = cell.try_acquire(at(1));
        let others = thread.join().expect("the other thread did not panic");

        assert!(next.is_some() || others, "one of them finds the place that came back");
        assert_eq!(u32::from(next.is_some()), cell.in_flight());
    });
}
