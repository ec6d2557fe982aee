//! One decision for one of many keys.

use std::hint::black_box;

use throttle_net::Eviction;

use crate::keys::{self, Draw};
use crate::measure::{Column, nanos_each, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;

/// So many keys, and what they aim at.
struct Population {
    name: &'static str,
    keys: usize,
    draws: &'static [(Draw, &'static str)],
    bound: Option<f64>,
}

const BOTH: &[(Draw, &str)] = &[(Draw::Uniform, "uniform"), (Draw::Zipf, "zipf 0.99")];

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Keyed decisions, Rust",
        "ns per call",
        "`allow(key)` beside governor's `check_key(&key)` and throttle-net's `try_acquire(&key)`: \
         one thread, keys of 16 bytes, everything allowed, each with its default clock and store \
         (throttle-net's without a cap on keys).",
    );
    let uniform = &BOTH[..1];
    let many = suite.choose(1_000_000, 20_000);
    one_population(suite, Population { name: "1 key", keys: 1, draws: uniform, bound: Some(0.75) });
    one_population(
        suite,
        Population { name: "1 k keys", keys: 1_000, draws: uniform, bound: None },
    );
    one_population(
        suite,
        Population { name: "1 M keys", keys: many, draws: BOTH, bound: Some(0.5) },
    );
    if suite.huge() {
        let keys = suite.choose(10_000_000, 100_000);
        one_population(
            suite,
            Population { name: "10 M keys", keys, draws: BOTH, bound: Some(0.6) },
        );
    }
}

fn one_population(suite: &mut Suite, population: Population) {
    let Population { name, keys, draws, bound } = population;
    let case = |draw: &str| {
        if draws.len() == 1 {
            format!("keyed allow, {name}")
        } else {
            format!("keyed allow, {name}, {draw}")
        }
    };
    let wanted: Vec<_> = draws.iter().filter(|(_, name)| suite.wants(&case(name))).collect();
    if wanted.is_empty() {
        return;
    }
    let ours = ENDLESS.limitpal();
    let governor = ENDLESS.governor();
    let throttle_net = ENDLESS.throttle_net(Eviction::unbounded());
    for key in (0..keys).map(keys::key) {
        let admitted = ours.allow(&key) && governor.check_key(&key).is_ok();
        assert!(admitted && throttle_net.try_acquire(&key), "an endless limit lets all through");
    }
    for (draw, name) in wanted {
        let calls = suite.calls();
        let order = Order::new(keys, calls, *draw);
        let (mut a, mut b, mut c) = (order.reader(), order.reader(), order.reader());
        let rounds = take_turns(
            suite.rounds(),
            vec![
                Column::new(OURS, || a.each(|key| ours.allow(key))),
                Column::new(GOVERNOR, || b.each(|key| governor.check_key(key).is_ok())),
                Column::new(THROTTLE_NET, || c.each(|key| throttle_net.try_acquire(key))),
            ],
        );
        let target = bound.map(|bound| Target::at_most(bound).of(GOVERNOR));
        suite.add(&case(name), &rounds, target);
    }
}

/// Keys in the order of the calls, read from front to back.
pub(crate) struct Order {
    keys: Vec<String>,
    calls: usize,
}

impl Order {
    /// Draws as many as there are keys, so that a large table is not asked for the same few keys
    /// in every round; few keys are drawn often enough to stay in the nearest cache.
    pub(crate) fn new(keys: usize, calls: usize, draw: Draw) -> Self {
        let draws = if keys <= 1_000 { 64.max(4 * keys) } else { keys.max(calls) };
        Self { keys: keys::drawn(keys, draws, draw), calls }
    }

    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { order: self, position: 0 }
    }
}

/// Where one contestant is in the order.
pub(crate) struct Reader<'a> {
    order: &'a Order,
    position: usize,
}

impl<'a> Reader<'a> {
    /// Returns the nanoseconds that a call takes, over the next stretch of the order.
    pub(crate) fn each<T>(&mut self, mut call: impl FnMut(&'a String) -> T) -> f64 {
        let (stretch, repeats) = self.stretch();
        nanos_each(stretch.len() * repeats, || {
            for _ in 0..repeats {
                for key in stretch {
                    black_box(call(key));
                }
            }
        })
    }

    /// Returns the next keys to call, and how often.
    pub(crate) fn stretch(&mut self) -> (&'a [String], usize) {
        let (keys, calls) = (&self.order.keys, self.order.calls);
        let stretches = (keys.len() / calls).max(1);
        let length = keys.len().min(calls);
        let start = (self.position % stretches) * length;
        self.position += 1;
        (&keys[start..start + length], (calls / length).max(1))
    }
}
