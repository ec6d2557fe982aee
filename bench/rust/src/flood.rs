//! A flood of new keys, with a cap on keys and without.

use std::hint::black_box;

use throttle_net::{Eviction, WhenFull};

use crate::keys;
use crate::measure::{Column, nanos_each, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, Limit, SLOW, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;

const WITHOUT: &str = "limitpal without a cap";

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "A flood of new keys, Rust",
        "ns per call",
        "`max_buckets` as in the case, filled; then the time of calls that each bring a new key. \
         The same number of new keys goes to the same limiter without a cap, filled alike, which \
         grows. A limiter of its own for each round. Live: no bucket is full again, so one that \
         matters must go. Idle: all are but the last few. governor has no cap, throttle-net has \
         one.",
    );
    for (name, cap) in [("1 k", 1_000), ("10 k", 10_000), ("100 k", 100_000), ("1 M", 1_000_000)] {
        for (state, limit) in [("live", SLOW), ("idle", ENDLESS)] {
            let case = format!("flood at max_buckets {name}, all {state}");
            if suite.wants(&case) {
                one_case(suite, &case, suite.choose(cap, cap.min(10_000)), limit);
            }
        }
    }
}

fn one_case(suite: &mut Suite, case: &str, cap: usize, limit: Limit) {
    let calls = suite.choose(cap.max(200_000), 20_000);
    let keys = keys::in_order(0..cap + calls);
    let (old, new) = keys.split_at(cap);
    let capped = || limit.ours().max_buckets(cap).build().expect("options within our range");
    let bounded = Eviction::capacity(cap).with_when_full(WhenFull::ForgetDebt);
    let rounds = take_turns(
        suite.choose(4, 1),
        vec![
            Column::new(OURS, || flood(&capped(), old, new, |limiter, key| limiter.allow(key))),
            Column::new(WITHOUT, || {
                flood(&limit.limitpal(), old, new, |limiter, key| limiter.allow(key))
            }),
            Column::new(THROTTLE_NET, || {
                let limiter = limit.throttle_net(bounded);
                flood(&limiter, old, new, |limiter, key| limiter.try_acquire(key))
            }),
            Column::new(GOVERNOR, || {
                let limiter = limit.governor();
                flood(&limiter, old, new, |limiter, key| limiter.check_key(key).is_ok())
            }),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_most(1.5).of(WITHOUT)));
}

/// Fills a limiter, and returns the nanoseconds that a new key then takes.
fn flood<L>(
    limiter: &L,
    old: &[String],
    new: &[String],
    allow: impl Fn(&L, &String) -> bool,
) -> f64 {
    for key in old {
        allow(limiter, key);
    }
    nanos_each(new.len(), || {
        for key in new {
            black_box(allow(limiter, key));
        }
    })
}
