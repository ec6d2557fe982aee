//! Calls on threads of their own. Each waits for a word of the test, so that nothing is by chance.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

type Answer = Result<&'static str, &'static str>;

/// What the calls of a function wait for, each for a word of its own; they say when they began.
struct Gates {
    words: Vec<Sender<Answer>>,
    ears: Mutex<Vec<Receiver<Answer>>>,
    began: Sender<()>,
}

fn gates(count: usize) -> (Arc<Gates>, Receiver<()>) {
    let (words, mut ears): (Vec<_>, Vec<_>) = (0..count).map(|_| channel()).unzip();
    ears.reverse();
    let (began, heard) = channel();
    (Arc::new(Gates { words, ears: Mutex::new(ears), began }), heard)
}

impl Gates {
    fn call(self: &Arc<Self>) -> impl Fn() -> Answer + Send + Sync + 'static {
        let gates = Arc::clone(self);
        move || {
            let ear = gates.ears.lock().unwrap().pop().expect("a call too many");
            gates.began.send(()).unwrap();
            ear.recv().unwrap()
        }
    }
}

/// Waits, in real time, until another thread has come so far.
fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

/// Moves the clock once somebody sleeps on it.
fn advance(clock: &MockClock, span: Duration) {
    until(|| clock.next_deadline().is_some());
    clock.advance(span);
}

#[test]
fn a_call_that_hangs_is_left_behind_as_its_time_is_over() {
    let clock = MockClock::new();
    let pool = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let builder = ResilientExecutor::builder().clock(&clock).limiter(pool.clone());
    let executor = builder.attempt_timeout(100 * MS).build().unwrap();
    let (gates, began) = gates(1);

    let end = thread::scope(|scope| {
        let run = scope.spawn(|| executor.run_on_threads("api", gates.call()));
        began.recv().unwrap();
        advance(&clock, 100 * MS);
        run.join().unwrap()
    });

    assert!(matches!(end, Err(RunError::TimeoutExceeded(_))), "{end:?}");
    let stats = executor.stats();
    assert_eq!((1, 1, 0), (stats.calls, stats.left_behind, stats.late_errors));
    assert_eq!(1, pool.in_flight("api"), "it is still under way");
    gates.words[0].send(Err("too late")).unwrap();
    until(|| executor.stats().late_errors == 1);
    assert_eq!(0, pool.in_flight("api"));
}

#[test]
fn a_slow_call_gets_its_hedge_and_the_loser_goes_on() {
    for charge in [Charge::Call, Charge::Attempt] {
        let clock = MockClock::new();
        let pool = ConcurrencyLimiter::builder(2).clock(&clock).build().unwrap();
        let builder = hedged(&clock, after(100 * MS)).limiter(pool.clone()).charge(charge);
        let executor = builder.build().unwrap();
        let (gates, began) = gates(2);

        let answer = thread::scope(|scope| {
            let run = scope.spawn(|| executor.run_on_threads("api", gates.call()));
            began.recv().unwrap();
            advance(&clock, 100 * MS);
            began.recv().unwrap();
            gates.words[1].send(Ok("fast")).unwrap();
            run.join().unwrap()
        });

        assert_eq!(Ok("fast"), answer);
        let stats = executor.stats();
        assert_eq!(
            (1, 1, 1, 0),
            (stats.hedges, stats.hedge_wins, stats.left_behind, stats.late_values)
        );
        assert_eq!(1, pool.in_flight("api"), "{charge}");
        gates.words[0].send(Ok("slow")).unwrap();
        until(|| executor.stats().late_values == 1);
        assert_eq!(0, pool.in_flight("api"), "{charge}");
    }
}

#[test]
fn a_run_on_threads_retries_and_ends_as_any_other() {
    let clock = MockClock::new();
    let breaker = CircuitBreaker::builder().failure_threshold(1).clock(clock.clone());
    let breaker = breaker.build().unwrap();
    let builder = ResilientExecutor::builder().clock(&clock).circuit_breaker(breaker.clone());
    let executor = builder.retry_policy(RetryPolicy::default()).build().unwrap();
    let calls = Arc::new(Mutex::new(vec![Ok("done"), Err("slow"), Err("slow")]));

    let answer = executor.run_on_threads("api", move || calls.lock().unwrap().pop().unwrap());

    assert_eq!(Ok("done"), answer);
    assert_eq!((3, CircuitState::Closed), (executor.stats().attempts, breaker.state()));
    let end = executor.run_on_threads("api", || Err::<(), _>("down")).unwrap_err();
    assert!(matches!(end, RunError::RetryExhausted(_)), "{end:?}");
    assert_eq!(CircuitState::Open, breaker.state());
}

#[test]
fn a_panic_in_a_thread_comes_out_of_the_run() {
    let executor = ResilientExecutor::<&str>::builder().clock(MockClock::new()).build().unwrap();

    let run = std::panic::AssertUnwindSafe(|| {
        let _ =
            executor.run_on_threads("api", || -> Result<(), &'static str> { panic!("as told") });
    });
    let panic = std::panic::catch_unwind(run).unwrap_err();

    assert_eq!(Some(&"as told"), panic.downcast_ref());
    assert_eq!(1, executor.stats().cancelled);
}

/// About real time: tokio's own timers stand still while the thread that drives them blocks.
#[test]
fn a_timeout_ends_a_run_also_on_the_thread_that_drives_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (gates, _began) = gates(1);

    let end = runtime.block_on(async {
        let builder = ResilientExecutor::builder().attempt_timeout(20 * MS);
        builder.build().unwrap().run_on_threads("api", gates.call())
    });

    assert!(matches!(end, Err(RunError::TimeoutExceeded(_))), "{end:?}");
    gates.words[0].send(Ok("late")).unwrap();
}
