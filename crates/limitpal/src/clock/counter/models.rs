//! Models of the counter: who reads it against who sets an anchor.

use std::cell::Cell;
use std::sync::Arc;

use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread::{self, JoinHandle};

use super::{Counter, FIRST_WATCH, HORIZON, Source};

/// Both clocks at one tick for each nanosecond. A reading takes one.
///
/// A processor's counter is no atomic of the language's. But like one that is only ever added to,
/// it grows whoever reads it, and what is read later is greater.
#[derive(Default)]
struct Script {
    passed: AtomicU64,
    /// How far the counter ran on while the system's clock stood still.
    suspended: u64,
}

impl Script {
    fn pass(&self, nanos: u64) -> u64 {
        self.passed.fetch_add(nanos, Ordering::Relaxed) + nanos
    }
}

/// The clocks as one thread reads them.
struct Reader<'s> {
    script: &'s Script,
    /// Whether the last it read is the system's clock: so it is for one who gave up waiting.
    gave_up: Cell<bool>,
}

impl Source for Reader<'_> {
    fn ticks(&self) -> u64 {
        self.gave_up.set(false);
        self.script.pass(1) + self.script.suspended
    }

    fn nanos(&self) -> i64 {
        self.gave_up.set(true);
        self.script.pass(1) as i64
    }
}

/// Makes a counter that knows its pace, with an anchor that ends after so many more ticks, some of
/// which the system's clock does not count.
fn anchored(left: u64, suspended: u64) -> Arc<(Counter, Script)> {
    let (counter, mut script) = (Counter::default(), Script::default());
    for span in [5_000, FIRST_WATCH] {
        script.pass(span);
        counter.now(&Reader { script: &script, gave_up: Cell::new(false) });
    }
    let horizon = counter.anchor().horizon;
    assert!(horizon >= HORIZON);
    script.pass(horizon - left - suspended);
    script.suspended = suspended;
    Arc::new((counter, script))
}

/// Reads so often, and asserts that no reading goes back, or is off: an anchor read in part would
/// be ahead or behind by as long as an anchor holds.
fn read((counter, script): &(Counter, Script), times: usize) {
    let reader = Reader { script, gave_up: Cell::new(false) };
    let mut last = reader.nanos() - (HORIZON / 2) as i64;
    for _ in 0..times {
        let now = counter.now(&reader);
        // The counter may be ahead of the system's clock, which one who gave up has read.
        if script.suspended == 0 || !reader.gave_up.get() {
            assert!(now >= last, "went back from {last} to {now}");
            last = now;
        }
    }
    let latest = reader.nanos() + script.suspended as i64;
    assert!(last <= latest, "{last} is ahead of {latest}");
}

/// Walks the interleavings with so many preemptions at most: with all values that the fields may
/// show to a reader, there are too many others.
fn model_within(preemptions: usize, threads: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(threads);
}

fn reading(clocks: &Arc<(Counter, Script)>, times: usize) -> JoinHandle<()> {
    let clocks = clocks.clone();
    thread::spawn(move || read(&clocks, times))
}

fn two_read(clocks: Arc<(Counter, Script)>, times: (usize, usize)) {
    let other = reading(&clocks, times.0);
    read(&clocks, times.1);
    other.join().expect("the other thread did not panic");
}

#[test]
fn readings_never_go_back_while_another_sets_an_anchor() {
    model_within(2, || two_read(anchored(3, 0), (2, 2)));
}

#[test]
fn readings_never_go_back_where_two_want_to_set_an_anchor() {
    model_within(2, || two_read(anchored(0, 0), (1, 2)));
}

#[test]
fn readings_never_go_back_where_the_counter_has_run_ahead() {
    model_within(2, || two_read(anchored(3, 1_000), (2, 2)));
}
