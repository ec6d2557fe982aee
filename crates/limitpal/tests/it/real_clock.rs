//! The release gate: eight threads on one hot key for a second of real time. Never more than the
//! bound in any window, and nearly all of it in the whole.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use limitpal::{
    AnyLimiter, Clock, CompositeLimiter, Instant, LeakyBucket, MonotonicClock, Rate, TokenBucket,
};

const THREADS: usize = 8;
const SPAN: Duration = Duration::from_secs(1);
/// So much that a thread which is not run for a tenth of a second loses no permit.
const CAPACITY: u32 = 1_000;
const PER_SECOND: u32 = 10_000;
/// The system's clock and the limiter's are two; their seconds differ by less than this.
const DRIFT: f64 = 0.001;

/// When an admission was asked for, and when it was there.
type Admission = (Instant, Instant);

/// What came of it, from before the first call to after the last one.
struct Outcome {
    begin: Both,
    end: Both,
    admitted: Vec<Admission>,
}

/// A reading of the limiter's clock, and one of the system's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Both {
    ours: Instant,
    system: std::time::Instant,
}

impl Both {
    #[expect(clippy::disallowed_methods, reason = "our clock is held against the system's")]
    fn read() -> Self {
        Self { ours: MonotonicClock.now(), system: std::time::Instant::now() }
    }
}

/// Lets all threads ask at once, as fast as they can.
fn hammer(limiter: &AnyLimiter) -> Outcome {
    let start = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (limiter, start) = (limiter.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                ask_for_a_while(&limiter)
            })
        })
        .collect();
    let runs: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();

    let begin = runs.iter().map(|run| run.begin).min().unwrap();
    let end = runs.iter().map(|run| run.end).max().unwrap();
    let mut admitted: Vec<_> = runs.into_iter().flat_map(|run| run.admitted).collect();
    admitted.sort_unstable();
    Outcome { begin, end, admitted }
}

fn ask_for_a_while(limiter: &AnyLimiter) -> Outcome {
    let (begin, mut admitted) = (Both::read(), Vec::new());
    let mut before = begin.ours;
    while before < begin.ours + SPAN {
        let allowed = limiter.allow("hot");
        let after = MonotonicClock.now();
        admitted.extend(allowed.then_some((before, after)));
        before = after;
    }
    Outcome { begin, end: Both::read(), admitted }
}

fn bound(window: Duration) -> f64 {
    f64::from(CAPACITY) + f64::from(PER_SECOND) * window.as_secs_f64()
}

/// Counts what was surely admitted from an instant up to another.
fn surely(outcome: &Outcome, afters: &[Instant], from: Instant, to: Instant) -> usize {
    let there = afters.partition_point(|after| *after <= to);
    let begun = outcome.admitted.partition_point(|(before, _)| *before < from);
    there.saturating_sub(begun)
}

fn holds_the_rate(limiter: impl Into<AnyLimiter>) {
    let outcome = hammer(&limiter.into());
    let admitted = outcome.admitted.len() as f64;

    let window = outcome.end.ours.saturating_duration_since(outcome.begin.ours);
    let most = bound(window);
    assert!(admitted <= most, "{admitted} in {window:?}, more than {most}");
    // How much of it is asked for is up to the machine, which others share.
    assert!(admitted >= 0.5 * most, "{admitted} in {window:?}, of {most}");
    let system = outcome.end.system - outcome.begin.system;
    let most = bound(system.mul_f64(1.0 + DRIFT));
    assert!(admitted <= most, "{admitted} in the system's {system:?}, more than {most}");

    let mut afters: Vec<_> = outcome.admitted.iter().map(|(_, after)| *after).collect();
    afters.sort_unstable();
    for (from, _) in &outcome.admitted {
        for window in [1, 10, 100].map(Duration::from_millis) {
            let count = surely(&outcome, &afters, *from, *from + window);
            let most = bound(window);
            assert!(count as f64 <= most, "{count} in {window:?} from {from:?}, more than {most}");
        }
    }
}

fn rate() -> Rate {
    Rate::new(PER_SECOND, SPAN).unwrap()
}

#[test]
fn eight_threads_on_one_key_get_the_rate_and_no_more() {
    holds_the_rate(TokenBucket::new(CAPACITY, rate()).unwrap());
}

#[test]
fn eight_threads_on_the_one_bucket_get_the_rate_and_no_more() {
    let builder = TokenBucket::builder(CAPACITY, rate()).per_key(false);
    holds_the_rate(builder.build().unwrap());
}

#[test]
fn eight_threads_on_a_leaky_bucket_get_the_rate_and_no_more() {
    holds_the_rate(LeakyBucket::new(CAPACITY, rate()).unwrap());
}

#[test]
fn eight_threads_on_a_composite_get_the_rate_of_the_slower_and_no_more() {
    let fast = Rate::new(2 * PER_SECOND, SPAN).unwrap();
    let per_user = TokenBucket::builder(2 * CAPACITY, fast).max_buckets(1).build().unwrap();
    let overall = TokenBucket::builder(CAPACITY, rate()).per_key(false).build().unwrap();
    holds_the_rate(CompositeLimiter::new([per_user.into(), overall.into()]).unwrap());
}
