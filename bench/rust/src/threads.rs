//! Two threads at once.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use throttle_net::Eviction;

use crate::floor::{Floor, Lockless};
use crate::keys::{self, Numbers};
use crate::measure::{Column, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;

const THREADS: usize = 2;

/// Whose keys: the thread's own, so many, or one that all threads share.
#[derive(Clone, Copy)]
enum Whose {
    Shared,
    Own(usize),
}

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Two threads, Rust",
        "ns per decision, both together",
        "Wall time from the first call to the last, divided by the calls of both threads; a \
         limiter of its own for each round. The ratio is how many times governor's throughput ours \
         is. `hash, lock, clock and slot` is what no limiter behind locks can do without, and \
         `hash, clock and slot` what none can, in a table that is as large as it will ever be: \
         they look for nothing and decide nothing.",
    );
    let many = suite.choose(500_000, 10_000);
    let cases = [
        ("2 threads, one hot key", Whose::Shared, 1.5),
        ("2 threads, a key each", Whose::Own(1), 2.0),
        ("2 threads, 1 k keys each", Whose::Own(1_000), 2.0),
        ("2 threads, 500 k keys each", Whose::Own(many), 2.0),
    ];
    for (case, whose, bound) in cases {
        if suite.wants(case) {
            one_case(suite, case, whose, bound);
        }
    }
}

fn one_case(suite: &mut Suite, case: &str, whose: Whose, bound: f64) {
    let calls = suite.calls();
    let keys = match whose {
        Whose::Shared => 1,
        Whose::Own(count) => THREADS * count,
    };
    let orders: [Vec<String>; THREADS] = std::array::from_fn(|thread| order(whose, thread, calls));
    let rounds = take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || {
                let limiter = ENDLESS.limitpal();
                together(&orders, calls, |key| limiter.allow(key))
            }),
            Column::new(GOVERNOR, || {
                let limiter = ENDLESS.governor();
                together(&orders, calls, |key| limiter.check_key(key).is_ok())
            }),
            Column::new("hash, lock, clock and slot", || {
                let floor = Floor::new(keys);
                together(&orders, calls, |key| floor.call(key))
            }),
            Column::new("hash, clock and slot", || {
                let floor = Lockless::new(keys);
                together(&orders, calls, |key| floor.call(key))
            }),
            Column::new(THROTTLE_NET, || {
                let limiter = ENDLESS.throttle_net(Eviction::unbounded());
                together(&orders, calls, |key| limiter.try_acquire(key))
            }),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_least(bound, GOVERNOR)));
}

/// Returns a thread's keys, every one of them at least once if there is room.
fn order(whose: Whose, thread: usize, calls: usize) -> Vec<String> {
    let (start, count) = match whose {
        Whose::Shared => (0, 1),
        Whose::Own(count) => (thread * count, count),
    };
    let length = if count <= 1_000 { 64.max(4 * count) } else { calls };
    let mut numbers = Numbers::new();
    (0..length).map(|_| keys::key(start + numbers.below(count))).collect()
}

/// Returns the nanoseconds of wall time for each call of all threads, known keys only.
fn together<T>(
    orders: &[Vec<String>; THREADS],
    calls: usize,
    call: impl Fn(&String) -> T + Sync,
) -> f64 {
    for key in orders.iter().flatten() {
        call(key);
    }
    let start = Barrier::new(THREADS);
    let work = |order: &[String]| {
        start.wait();
        let begun = Instant::now();
        for _ in 0..calls / order.len() {
            for key in order {
                black_box(call(key));
            }
        }
        (begun, Instant::now())
    };
    let spans = thread::scope(|scope| {
        let handles = orders.each_ref().map(|order| scope.spawn(|| work(order)));
        handles.map(|handle| handle.join().expect("a limiter does not panic"))
    });
    let begun = spans.map(|(begun, _)| begun).into_iter().min();
    let ended = spans.map(|(_, ended)| ended).into_iter().max();
    let wall = ended.zip(begun).map(|(ended, begun)| ended - begun).expect("there are threads");
    let made: usize = orders.iter().map(|order| calls / order.len() * order.len()).sum();
    wall.as_nanos() as f64 / made as f64
}
