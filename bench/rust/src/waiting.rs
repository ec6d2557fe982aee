//! Many tasks wait for one limiter, in real time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::machine;
use crate::measure::{Column, Rounds, take_cold_turns};
use crate::peers::{GOVERNOR, LEAKY_BUCKET, PACED, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::{self, Suite};

/// The argument that makes this program a contestant.
pub(crate) const PROBE: &str = "--probe-waiting";

const IDEAL: &str = "ideal";
const TIME: &str = "Total time";

const NOTE: &str = "So many tasks ask one limiter for 1,000 per second at once, on tokio's \
                    `current_thread`, in real time. A process of its own for each.";

/// Returns a runtime of one thread that can sleep.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime needs no more than this")
}

/// One thing to tell of a crowd.
type Figure = fn(&Crowd) -> f64;

/// How it went for all who waited.
struct Crowd {
    millis: f64,
    processor_millis: f64,
    wakes_per_grant: f64,
    overtaken_percent: f64,
}

pub(crate) fn run(suite: &mut Suite) {
    let sizes = [("1,000 waiters", 1_000, 3), ("3,000 waiters", 3_000, 2)];
    let figures: [(&str, &str, Figure, Target); 4] = [
        (TIME, "ms", |crowd| crowd.millis, Target::at_most(1.01).of(IDEAL)),
        ("Wakes", "per grant", |crowd| crowd.wakes_per_grant, Target::at_most(1.0)),
        ("Overtakings", "% of all pairs", |crowd| crowd.overtaken_percent, Target::at_most(0.0)),
        (
            "Processor time",
            "ms",
            |crowd| crowd.processor_millis,
            Target::at_most(0.15).of(GOVERNOR),
        ),
    ];
    let mut measured: [Option<Rounds<Crowd>>; 2] = [None, None];
    for (name, unit, figure, target) in figures {
        suite.open(&format!("{name} of async waiters, Rust"), unit, NOTE);
        for ((case, count, rounds), known) in sizes.iter().zip(&mut measured) {
            if !suite.wants(case) {
                continue;
            }
            let (count, rounds) = (suite.choose(*count, count / 10), suite.choose(*rounds, 1));
            let all = known.get_or_insert_with(|| one_size(count, rounds));
            let figures = all.figure(figure);
            // Only time has an ideal that differs from the target itself.
            let shown = if name == TIME { figures } else { figures.without(IDEAL) };
            suite.add(case, &shown, Some(target.clone()));
        }
    }
}

fn one_size(count: usize, rounds: usize) -> Rounds<Crowd> {
    let contestants = [OURS, GOVERNOR, THROTTLE_NET, LEAKY_BUCKET];
    let mut columns: Vec<Column<'_, Crowd>> =
        contestants.map(|name| Column::new(name, move || ask(name, count))).into();
    let millis = (count - 1) as f64;
    columns.push(Column::new(IDEAL, move || Crowd {
        millis,
        processor_millis: 0.0,
        wakes_per_grant: 1.0,
        overtaken_percent: 0.0,
    }));
    take_cold_turns(rounds, columns)
}

/// Returns how it went for a crowd in a process of its own.
fn ask(contestant: &str, count: usize) -> Crowd {
    let [millis, processor_millis, wakes_per_grant, overtaken_percent] =
        suite::ask(PROBE, contestant, count);
    Crowd { millis, processor_millis, wakes_per_grant, overtaken_percent }
}

/// Is the contestant: lets two crowds wait, one to warm up, and prints how it went for the other.
pub(crate) fn probe(arguments: impl Iterator<Item = String>) {
    let (contestant, count) = suite::asked(arguments);
    crowd_of(&contestant, count);
    let Crowd { millis, processor_millis, wakes_per_grant, overtaken_percent } =
        crowd_of(&contestant, count);
    println!("{millis} {processor_millis} {wakes_per_grant} {overtaken_percent}");
}

fn crowd_of(contestant: &str, count: usize) -> Crowd {
    match contestant {
        OURS => {
            let limiter = PACED.limitpal_one();
            crowd(count, move || {
                let limiter = limiter.clone();
                async move { limiter.acquire("default").await.expect("one is within the capacity") }
            })
        }
        GOVERNOR => {
            let limiter = Arc::new(PACED.governor_one());
            crowd(count, move || {
                let limiter = Arc::clone(&limiter);
                async move { limiter.until_ready().await }
            })
        }
        LEAKY_BUCKET => {
            let limiter = Arc::new(PACED.leaky_bucket());
            crowd(count, move || Arc::clone(&limiter).acquire_owned(1))
        }
        THROTTLE_NET => {
            let limiter = Arc::new(PACED.throttle_net_one());
            crowd(count, move || {
                let limiter = Arc::clone(&limiter);
                async move { limiter.acquire().await.expect("one is within the capacity") }
            })
        }
        other => panic!("`{other}` is no contestant"),
    }
}

/// How it went for one who waited.
struct Waited {
    arrival: usize,
    grant: usize,
    polls: usize,
}

/// Lets `count` tasks acquire at once, and returns when all have.
fn crowd<F>(count: usize, acquire: impl Fn() -> F) -> Crowd
where
    F: Future<Output = ()> + Send + 'static,
{
    let (arrivals, grants) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runtime = runtime();
    let (start, used) = (Instant::now(), machine::processor_millis());
    let mut waited: Vec<Waited> = runtime.block_on(async {
        let task = || tokio::spawn(watched(acquire(), Arc::clone(&arrivals), Arc::clone(&grants)));
        let tasks: Vec<_> = (0..count).map(|_| task()).collect();
        let mut waited = Vec::with_capacity(count);
        for task in tasks {
            waited.push(task.await.expect("a waiter does not panic"));
        }
        waited
    });
    let millis = start.elapsed().as_secs_f64() * 1e3;
    let processor_millis = machine::processor_millis() - used;
    let sleepers = waited.iter().filter(|waited| waited.polls > 1).count().max(1);
    let wakes: usize = waited.iter().map(|waited| waited.polls - 1).sum();
    waited.sort_by_key(|waited| waited.arrival);
    Crowd {
        millis,
        processor_millis,
        wakes_per_grant: wakes as f64 / sleepers as f64,
        overtaken_percent: overtaken_percent(&waited),
    }
}

/// Awaits, and counts how often that was tried.
async fn watched(
    acquire: impl Future<Output = ()>,
    arrivals: Arc<AtomicUsize>,
    grants: Arc<AtomicUsize>,
) -> Waited {
    let (mut acquire, mut polls) = (pin!(acquire), 0);
    let arrival = arrivals.fetch_add(1, Ordering::Relaxed);
    std::future::poll_fn(|context| {
        polls += 1;
        acquire.as_mut().poll(context)
    })
    .await;
    Waited { arrival, grant: grants.fetch_add(1, Ordering::Relaxed), polls }
}

/// Returns the share of pairs of which the later one went first.
fn overtaken_percent(by_arrival: &[Waited]) -> f64 {
    let later = |rank: usize| &by_arrival[rank + 1..];
    let overtaken: usize = (0..by_arrival.len())
        .map(|rank| later(rank).iter().filter(|one| one.grant < by_arrival[rank].grant).count())
        .sum();
    let pairs = by_arrival.len() * (by_arrival.len() - 1) / 2;
    overtaken as f64 * 100.0 / pairs as f64
}
