//! What one key costs in memory.
//!
//! Each contestant fills itself in a process of its own: what another one has freed would else be
//! taken for nothing.

use std::time::Duration;

use throttle_net::{Eviction, WhenFull};

use crate::allocator::{self, Heap};
use crate::keys;
use crate::machine;
use crate::measure::{Column, take_cold_turns};
use crate::peers::{GOVERNOR, SLOW, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::{self, Suite};

/// The argument that makes this program a contestant.
pub(crate) const PROBE: &str = "--probe-memory";

const PLAIN: &str = "limitpal without ttl and cap";
const PLAIN_THROTTLE_NET: &str = "throttle-net without ttl and cap";
const CONTESTANTS: [&str; 5] = [OURS, PLAIN, GOVERNOR, THROTTLE_NET, PLAIN_THROTTLE_NET];
const TTL: Duration = Duration::from_secs(3600);

/// Bytes for each key.
struct Footprint {
    heap: f64,
    resident: f64,
}

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Memory of a key, Rust",
        "bytes per key",
        "A process of its own for each; every key is used twice and is not full again. `limitpal` \
         and `throttle-net` have a ttl and a cap on keys; governor has neither. Heap: bytes asked \
         for and kept. Resident: growth of the process, the allocator's overhead included.",
    );
    one_size(suite, "1 M keys", suite.choose(1_000_000, 50_000), 3);
    if suite.huge() {
        one_size(suite, "10 M keys", suite.choose(10_000_000, 100_000), 1);
    }
}

fn one_size(suite: &mut Suite, name: &str, keys: usize, rounds: usize) {
    let (heap, resident) = (format!("heap, {name}"), format!("resident, {name}"));
    if !suite.wants(&heap) && !suite.wants(&resident) {
        return;
    }
    let columns = CONTESTANTS.map(|name| Column::new(name, move || ask(name, keys)));
    let rounds = take_cold_turns(rounds, columns.into());
    let target = Some(Target::at_most(0.7).of(GOVERNOR));
    suite.add(&heap, &rounds.figure(|footprint| footprint.heap), target.clone());
    suite.add(&resident, &rounds.figure(|footprint| footprint.resident), target);
}

/// Returns what a contestant found in a process of its own.
fn ask(contestant: &str, keys: usize) -> Footprint {
    let [heap, resident] = suite::ask(PROBE, contestant, keys);
    Footprint { heap, resident }
}

/// Is the contestant: fills itself with so many keys and prints the bytes for each.
pub(crate) fn probe(arguments: impl Iterator<Item = String>) {
    let (contestant, keys) = suite::asked(arguments);
    let bounded = Eviction::new(keys, TTL).with_when_full(WhenFull::ForgetDebt);
    let (heap, resident) = match contestant.as_str() {
        OURS => {
            let builder = SLOW.ours().ttl(TTL).max_buckets(keys);
            let make = || builder.build().expect("options within our range");
            filled(keys, make, |limiter, key| limiter.allow(key))
        }
        PLAIN => filled(keys, || SLOW.limitpal(), |limiter, key| limiter.allow(key)),
        GOVERNOR => filled(keys, || SLOW.governor(), |limiter, key| limiter.check_key(key).is_ok()),
        THROTTLE_NET => {
            filled(keys, || SLOW.throttle_net(bounded), |limiter, key| limiter.try_acquire(key))
        }
        PLAIN_THROTTLE_NET => {
            let make = || SLOW.throttle_net(Eviction::unbounded());
            filled(keys, make, |limiter, key| limiter.try_acquire(key))
        }
        other => panic!("`{other}` is no contestant"),
    };
    println!("{} {}", heap.live_bytes / keys as f64, resident / keys as f64);
}

/// Makes a limiter and uses every key twice; returns what that cost.
fn filled<L>(
    keys: usize,
    make: impl FnOnce() -> L,
    allow: impl Fn(&L, &String) -> bool,
) -> (Heap, f64) {
    let before = machine::resident_bytes();
    let (heap, (limiter, resident)) = allocator::count(|| {
        let limiter = make();
        for _ in 0..2 {
            for number in 0..keys {
                assert!(allow(&limiter, &keys::key(number)), "a slow limit lets ten through");
            }
        }
        (limiter, machine::resident_bytes() - before)
    });
    drop(limiter);
    (heap, resident)
}
