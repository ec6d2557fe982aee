//! One bucket for everybody.

use std::time::Instant;

use limitpal::{Clock, MonotonicClock};

use crate::measure::{Column, per_await, per_call, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, LEAKY_BUCKET, RATELIMIT, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

const SYSTEM: &str = "the system's";

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Reading the clock, Rust",
        "ns per reading",
        "`MonotonicClock`, which reads the time stamp counter where the system does, beside \
         `std::time::Instant::now`, which asks the system; every decision reads it once.",
    );
    if suite.wants("reading the clock") {
        let calls = suite.calls();
        let ours = || per_call(calls, || MonotonicClock.now());
        let columns =
            vec![Column::new(OURS, ours), Column::new(SYSTEM, || per_call(calls, Instant::now))];
        suite.add("reading the clock", &take_turns(suite.rounds(), columns), None);
    }
    suite.open(
        "One bucket, Rust",
        "ns per call",
        "`per_key(false)` beside the peers' limiters that have no keys: one thread, everything \
         allowed.",
    );
    if suite.wants("one bucket, allow") {
        allow(suite, "one bucket, allow");
    }
    if suite.wants("one bucket, acquire at once") {
        acquire(suite, "one bucket, acquire at once");
    }
}

fn allow(suite: &mut Suite, case: &str) {
    let calls = suite.calls();
    let ours = ENDLESS.limitpal_one();
    let governor = ENDLESS.governor_one();
    let ratelimit = ENDLESS.ratelimit();
    let leaky_bucket = ENDLESS.leaky_bucket();
    let throttle_net = ENDLESS.throttle_net_one();
    let runtime = runtime();
    let rounds = take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || per_call(calls, || ours.allow("default"))),
            Column::new(GOVERNOR, || per_call(calls, || governor.check().is_ok())),
            Column::new(RATELIMIT, || per_call(calls, || ratelimit.try_wait().is_ok())),
            Column::new(LEAKY_BUCKET, || {
                let _inside = runtime.enter();
                per_call(calls, || leaky_bucket.try_acquire(1))
            }),
            Column::new(THROTTLE_NET, || per_call(calls, || throttle_net.try_acquire())),
        ],
    );
    suite.add(case, &rounds, Some(Target::at_most(1.2).of(GOVERNOR)));
}

fn acquire(suite: &mut Suite, case: &str) {
    let calls = suite.calls();
    let ours = ENDLESS.limitpal_one();
    let governor = ENDLESS.governor_one();
    let leaky_bucket = ENDLESS.leaky_bucket();
    let throttle_net = ENDLESS.throttle_net_one();
    let runtime = runtime();
    let rounds = take_turns(
        suite.rounds(),
        vec![
            Column::new(OURS, || {
                runtime.block_on(per_await(calls, async || ours.acquire("default").await.is_ok()))
            }),
            Column::new(GOVERNOR, || {
                runtime.block_on(per_await(calls, async || governor.until_ready().await))
            }),
            Column::new(LEAKY_BUCKET, || {
                runtime.block_on(per_await(calls, async || leaky_bucket.acquire_one().await))
            }),
            Column::new(THROTTLE_NET, || {
                runtime.block_on(per_await(calls, async || throttle_net.acquire().await.is_ok()))
            }),
        ],
    );
    suite.add(case, &rounds, None);
}
