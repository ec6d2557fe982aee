//! What it costs to join a line, to leave it, and to stand in it.

use std::collections::VecDeque;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::task::{Context, Waker};

use limitpal::{MockClock, TokenBucket};

use crate::allocator;
use crate::keys::Numbers;
use crate::measure::{Column, Rounds, nanos_each, take_cold_turns, take_turns};
use crate::peers::{GOVERNOR, LEAKY_BUCKET, PACED, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

const FEW: &str = "1 k waiting";
const MANY: &str = "100 k waiting";
const TIMER: &str = "and tokio's timer";

/// What one who waits pays, in nanoseconds.
struct Cost {
    join: f64,
    leave: f64,
}

/// Who leaves the line.
#[derive(Clone, Copy)]
enum Leaver {
    First,
    Anybody,
}

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Joining and leaving a line, Rust",
        "ns per waiter",
        "With so many waiting for one key already, on a mock clock that stands still: some cancel, \
         as many join at the end. The ratio is from 1 k to 100 k waiting: the logarithm grows by \
         1.7, a walk along the line by 100, and caches that no longer hold the line cost a few \
         times more whatever the order.",
    );
    for (leaver, who) in [(Leaver::First, "the first"), (Leaver::Anybody, "anybody")] {
        let (join, leave) = (format!("join after {who} left"), format!("{who} cancels"));
        if suite.wants(&join) || suite.wants(&leave) {
            let rounds = joins_and_leaves(suite, leaver);
            let target = || Some(Target::at_most(5.0).for_column(MANY).of(FEW));
            suite.add(&join, &rounds.figure(|cost| cost.join), target());
            suite.add(&leave, &rounds.figure(|cost| cost.leave), target());
        }
    }
    standing(suite);
}

fn joins_and_leaves(suite: &Suite, leaver: Leaver) -> Rounds<Cost> {
    let shrink = suite.choose(1, 10);
    let moves = suite.choose(1_000, 50);
    let sizes = [(FEW, 1_000), ("10 k waiting", 10_000), (MANY, 100_000)];
    let limiters = sizes.map(|_| on_a_mock_clock());
    let lines = sizes.iter().zip(&limiters).map(|((name, count), limiter)| {
        // Who came last lies in front, so that a line that is dropped dissolves from its end.
        let mut line = VecDeque::new();
        for _ in 0..count / shrink {
            line.push_front(joined(limiter.acquire("default")));
        }
        let mut numbers = Numbers::new();
        Column::new(*name, move || {
            let leave = nanos_each(moves, || {
                for _ in 0..moves {
                    drop(black_box(match leaver {
                        Leaver::First => line.pop_back(),
                        Leaver::Anybody => line.swap_remove_front(numbers.below(line.len())),
                    }));
                }
            });
            let join = nanos_each(moves, || {
                for _ in 0..moves {
                    line.push_front(joined(limiter.acquire("default")));
                }
            });
            Cost { join, leave }
        })
    });
    take_turns(suite.choose(5, 1), lines.collect())
}

/// Returns a limiter that has nothing left, and whose time stands still.
fn on_a_mock_clock() -> TokenBucket {
    let builder = PACED.ours().clock(MockClock::new());
    let limiter = builder.build().expect("options within our range");
    assert!(limiter.allow("default"), "a new bucket is full");
    limiter
}

/// Returns a future that stands in line.
fn joined<F: Future>(acquire: F) -> Pin<Box<F>> {
    let mut acquire = Box::pin(acquire);
    poll(&mut acquire);
    acquire
}

fn poll<F: Future>(acquire: &mut Pin<Box<F>>) {
    let _ = acquire.as_mut().poll(&mut Context::from_waker(Waker::noop()));
}

fn standing(suite: &mut Suite) {
    let case = "100 k waiting tasks";
    suite.open(
        "Memory of a waiting task, Rust",
        "bytes per task",
        "The future of `acquire` and all that polling it put on the heap; the task and its box are \
         the runtime's. tokio's timer, which lies within ours, is told apart; governor brings \
         timers of its own.",
    );
    if !suite.wants(case) {
        return;
    }
    let count = suite.choose(100_000, 10_000);
    let runtime = runtime();
    // Entered, not run: within a running task tokio would ration how many timers start.
    let _inside = runtime.enter();
    let timer = size_of::<tokio::time::Sleep>() as f64;
    let rounds = take_cold_turns(
        1,
        vec![
            Column::new(OURS, || {
                let limiter = PACED.limitpal_one();
                bytes_each(count, || limiter.acquire("default")) - timer
            }),
            Column::new(TIMER, || timer),
            Column::new(LEAKY_BUCKET, || {
                let limiter = PACED.leaky_bucket();
                bytes_each(count, || limiter.acquire_one())
            }),
            Column::new(THROTTLE_NET, || {
                let limiter = PACED.throttle_net_one();
                bytes_each(count, || limiter.acquire())
            }),
            Column::new(GOVERNOR, || {
                let limiter = PACED.governor_one();
                bytes_each(count, || limiter.until_ready())
            }),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_most(300.0)));
}

/// Returns the bytes of a future, and of what it puts on the heap when it starts to wait.
fn bytes_each<F: Future>(count: usize, acquire: impl Fn() -> F) -> f64 {
    let mut waiting: Vec<_> = (0..count).map(|_| Box::pin(acquire())).collect();
    let (heap, ()) = allocator::count(|| waiting.iter_mut().for_each(poll));
    while waiting.pop().is_some() {}
    size_of::<F>() as f64 + heap.live_bytes / count as f64
}
