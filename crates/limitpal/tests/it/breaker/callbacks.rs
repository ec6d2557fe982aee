//! Callbacks: what they are told, in which order, and that they change nothing.

use std::sync::{Arc, Barrier, Mutex};

use limitpal::{CircuitBreaker, CircuitBreakerOpen, CircuitState};

use super::{SECOND, breaker, half_open};

type Log = Arc<Mutex<Vec<String>>>;

/// Adds all four callbacks, each of which writes down what it is told.
fn listen(breaker: &CircuitBreaker) -> Log {
    let log = Log::default();
    let say = |log: &Log, text: String| log.lock().unwrap().push(text);
    let (one, two, three, four) = (log.clone(), log.clone(), log.clone(), log.clone());
    breaker.on_transition(move |from, to| say(&one, format!("{from} -> {to}")));
    breaker.on_success(move || say(&two, "success".to_owned()));
    breaker.on_failure(move || say(&three, "failure".to_owned()));
    breaker.on_refused(move |refusal: CircuitBreakerOpen| {
        say(&four, format!("refused for {:?}", refusal.retry_after().unwrap_or_default()));
    });
    log
}

fn told(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn each_is_told_what_it_asked_for() {
    let (breaker, clock) = breaker(2, 1);
    let log = listen(&breaker);

    assert_eq!(Ok(7), breaker.call_blocking(|| Ok::<_, ()>(7)));
    breaker.record_success();
    assert_eq!(["success", "success"], told(&log)[..]);
    breaker.record_failure();
    breaker.record_failure();
    assert_eq!(["failure", "closed -> open", "failure"], told(&log)[..]);
    assert!(!breaker.allow());
    assert_eq!(["refused for 10s"], told(&log)[..]);
    clock.advance(10 * SECOND);
    breaker.record_success();
    assert_eq!(["open -> half_open", "half_open -> closed", "success"], told(&log)[..]);
}

#[test]
fn a_reset_and_a_mode_are_transitions_where_they_can_be_seen() {
    let (breaker, _clock) = breaker(1, 1);
    let log = listen(&breaker);

    breaker.reset();
    breaker.force_open();
    breaker.force_open();
    breaker.disable();
    assert_eq!(["closed -> open", "open -> closed"], told(&log)[..]);
    breaker.enforce();
    breaker.record_failure();
    breaker.reset();

    assert_eq!(["closed -> open", "failure", "open -> closed"], told(&log)[..]);
}

#[test]
fn what_does_not_count_is_not_told() {
    let (breaker, _clock) = half_open(1);
    let log = listen(&breaker);

    let neither = breaker.call_blocking(|| Err::<(), _>(CircuitBreakerOpen::new(SECOND)));
    assert!(neither.is_err());
    breaker.disable();
    told(&log);
    breaker.record_failure();
    breaker.record_success();

    assert!(told(&log).is_empty());
}

#[test]
fn in_shadow_refusals_are_told_that_nobody_gets() {
    let (breaker, _clock) = breaker(1, 1);
    let log = listen(&breaker);
    breaker.shadow();
    breaker.record_failure();
    told(&log);

    assert!(breaker.allow());

    assert_eq!(["refused for 10s"], told(&log)[..]);
}

#[test]
fn one_that_is_removed_hears_no_more_and_the_others_do() {
    let (breaker, _clock) = breaker(9, 1);
    let log = listen(&breaker);
    let others = log.clone();
    let id = breaker.on_failure(move || others.lock().unwrap().push("other".to_owned()));
    breaker.record_failure();
    assert_eq!(["failure", "other"], told(&log)[..]);

    assert!(breaker.remove_callback(id));
    assert!(!breaker.remove_callback(id));
    breaker.record_failure();

    assert_eq!(["failure"], told(&log)[..]);
}

#[test]
fn successes_of_a_healthy_circuit_are_told_and_not_after_the_callback_is_gone() {
    let (breaker, _clock) = breaker(1, 1);
    let count = Arc::new(Mutex::new(0));
    let counter = count.clone();

    let id = breaker.on_success(move || *counter.lock().unwrap() += 1);
    breaker.record_success();
    assert_eq!(1, *count.lock().unwrap());
    breaker.remove_callback(id);
    breaker.record_success();

    assert_eq!(1, *count.lock().unwrap());
}

#[test]
fn a_panic_in_one_changes_nothing() {
    let (breaker, _clock) = breaker(1, 1);
    breaker.on_failure(|| std::panic::resume_unwind(Box::new("the user's own")));
    breaker.on_transition(|_, _| std::panic::resume_unwind(Box::new("the user's own")));
    let log = listen(&breaker);

    assert!(breaker.call_blocking(|| Err::<(), _>("down")).is_err());

    assert_eq!(CircuitState::Open, breaker.state());
    assert_eq!(["closed -> open", "failure"], told(&log)[..]);
}

/// It would hang, or overtake itself, were it run under a lock or at once.
#[test]
fn one_may_use_the_breaker_and_transitions_keep_their_order() {
    let (breaker, _clock) = breaker(1, 1);
    let again = breaker.clone();
    breaker.on_transition(move |_, to| {
        if to == CircuitState::Open {
            again.reset();
        }
    });
    let log = listen(&breaker);

    breaker.record_failure();

    assert_eq!(["closed -> open", "open -> closed", "failure"], told(&log)[..]);
    assert_eq!(CircuitState::Closed, breaker.state());
}

#[test]
fn threads_hear_of_transitions_in_the_order_they_happened() {
    let (breaker, _clock) = breaker(1, 1);
    let moves = Arc::new(Mutex::new(Vec::new()));
    let log = moves.clone();
    breaker.on_transition(move |from, to| log.lock().unwrap().push((from, to)));
    let barrier = Barrier::new(4);

    std::thread::scope(|scope| {
        for rank in 0..4 {
            let (breaker, barrier) = (&breaker, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for _ in 0..500 {
                    if rank % 2 == 0 { breaker.record_failure() } else { breaker.reset() }
                }
            });
        }
    });

    let moves = moves.lock().unwrap();
    assert!(moves.first().is_none_or(|first| first.0 == CircuitState::Closed));
    assert!(moves.windows(2).all(|pair| pair[0].1 == pair[1].0), "{moves:?}");
    assert!(moves.iter().all(|(from, to)| from != to));
}
