//! One decision of each algorithm beside the same one of those who have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use limitpal::{FixedWindow, LeakyBucket, Rate, SlidingWindowCounter, SlidingWindowLog};
use throttle_net::Eviction;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_resilience::ratelimiter::{RateLimiterLayer, WindowType};
use trypema::local::LocalRateLimiterProvider;
use trypema::{BucketSize, RateLimit, RateLimitDecision, RateLimiterBuilder, WindowSize};

use crate::keyed::{Order, Reader};
use crate::keys::{self, Draw};
use crate::measure::{Column, per_await, take_turns};
use crate::peers::{ENDLESS, GOVERNOR, THROTTLE_NET};
use crate::report::{OURS, Target};
use crate::suite::Suite;
use crate::waiting::runtime;

const TOWER_RESILIENCE: &str = "tower-resilience";
const TRYPEMA: &str = "trypema";

/// More calls than anybody makes in that time; so few that a log is in the nearest cache.
const LIMIT: u32 = 1_000;
const PER: Duration = Duration::from_micros(10);

/// No more after these while a benchmark lasts.
const FEW: u32 = 10;
const LONG: Duration = Duration::from_secs(360_000);

pub(crate) fn run(suite: &mut Suite) {
    suite.open(
        "Each algorithm, Rust",
        "ns per call",
        "Our `allow(key)` beside the algorithm of that kind which each peer has, allowed unless \
         said, one thread, keys of 16 bytes. governor's bucket is the leaky one as a meter. \
         tower-resilience's windows are a service that is made ready and called; these and \
         throttle-net's log know no keys: beside them ours is made with `per_key(false)`, and \
         where there are keys, throttle-net's stand in a `HashMap` behind a lock. trypema counts \
         all calls of 10 ms as one.",
    );
    for_everybody(suite);
    for (population, count) in [("1 key", 1), ("100 k keys", suite.choose(100_000, 10_000))] {
        buckets(suite, population, count);
        fixed(suite, population, count);
        counter(suite, population, count);
        log(suite, population, count);
    }
    refused(suite);
}

/// Measures a row: each peer is to be no faster than ours.
fn row(suite: &mut Suite, case: &str, peers: &[&str], columns: Vec<Column<'_>>) {
    let rounds = take_turns(suite.rounds(), columns);
    for peer in peers {
        suite.add(case, &rounds, Some(Target::at_most(1.0).of(peer)));
    }
    if peers.is_empty() {
        suite.add(case, &rounds, None);
    }
}

/// Returns a column of calls that all let through, once each key is known.
fn allowing<'a>(
    name: &str,
    order: &'a Order,
    keys: usize,
    allow: impl Fn(&String) -> bool + 'a,
) -> Column<'a> {
    for number in 0..keys {
        assert!(allow(&keys::key(number)), "an endless limit lets all through");
    }
    calling(name, order, allow)
}

fn calling<'a>(name: &str, order: &'a Order, allow: impl Fn(&String) -> bool + 'a) -> Column<'a> {
    let mut reader: Reader<'a> = order.reader();
    Column::new(name, move || reader.each(&allow))
}

fn buckets(suite: &mut Suite, population: &str, keys: usize) {
    let order = Order::new(keys, suite.calls(), Draw::Uniform);
    let governor = ENDLESS.governor();
    let case = format!("token bucket, {population}");
    if suite.wants(&case) {
        let (ours, other) = (ENDLESS.limitpal(), ENDLESS.throttle_net(Eviction::unbounded()));
        let columns = vec![
            allowing(OURS, &order, keys, |key| ours.allow(key)),
            allowing(GOVERNOR, &order, keys, |key| governor.check_key(key).is_ok()),
            allowing(THROTTLE_NET, &order, keys, |key| other.try_acquire(key)),
        ];
        row(suite, &case, &[GOVERNOR, THROTTLE_NET], columns);
    }
    let case = format!("leaky bucket, {population}");
    if suite.wants(&case) {
        let rate = Rate::per_second(1e6).expect("a rate within our range");
        let ours = LeakyBucket::new(u32::MAX, rate).expect("a limit within our range");
        let columns = vec![
            allowing(OURS, &order, keys, |key| ours.allow(key)),
            allowing(GOVERNOR, &order, keys, |key| governor.check_key(key).is_ok()),
        ];
        row(suite, &case, &[GOVERNOR], columns);
    }
}

fn fixed(suite: &mut Suite, population: &str, keys: usize) {
    let case = format!("fixed window, {population}");
    if suite.wants(&case) {
        let ours = FixedWindow::new(LIMIT, PER).expect("a limit within our range");
        let order = Order::new(keys, suite.calls(), Draw::Uniform);
        row(suite, &case, &[], vec![allowing(OURS, &order, keys, |key| ours.allow(key))]);
    }
}

fn counter(suite: &mut Suite, population: &str, keys: usize) {
    let case = format!("sliding window, estimated, {population}");
    if suite.wants(&case) {
        let ours = SlidingWindowCounter::new(LIMIT, PER).expect("a limit within our range");
        let order = Order::new(keys, suite.calls(), Draw::Uniform);
        row(suite, &case, &[], vec![allowing(OURS, &order, keys, |key| ours.allow(key))]);
    }
}

/// One window for all calls, as the peers have it that know no keys.
fn for_everybody(suite: &mut Suite) {
    let order = Order::new(1, suite.calls(), Draw::Uniform);
    let calls = suite.calls();
    let case = "fixed window, for everybody";
    if suite.wants(case) {
        let ours = FixedWindow::builder(LIMIT, PER).per_key(false).build();
        let ours = ours.expect("a limit within our range");
        let columns = vec![
            allowing(OURS, &order, 1, |key| ours.allow(key)),
            tower_resilience(WindowType::Fixed, calls),
        ];
        row(suite, case, &[TOWER_RESILIENCE], columns);
    }
    let case = "sliding window, estimated, for everybody";
    if suite.wants(case) {
        let ours = SlidingWindowCounter::builder(LIMIT, PER).per_key(false).build();
        let ours = ours.expect("a limit within our range");
        let columns = vec![
            allowing(OURS, &order, 1, |key| ours.allow(key)),
            tower_resilience(WindowType::SlidingCounter, calls),
        ];
        row(suite, case, &[TOWER_RESILIENCE], columns);
    }
    let case = "sliding window, exact, for everybody";
    if suite.wants(case) {
        let ours = SlidingWindowLog::builder(LIMIT, PER).per_key(false).build();
        let ours = ours.expect("a limit within our range");
        let alone = throttle_net::SlidingWindowLog::new(LIMIT, PER);
        let columns = vec![
            allowing(OURS, &order, 1, |key| ours.allow(key)),
            allowing(THROTTLE_NET, &order, 1, |_| alone.try_acquire()),
            tower_resilience(WindowType::SlidingLog, calls),
        ];
        row(suite, case, &[THROTTLE_NET, TOWER_RESILIENCE], columns);
    }
    let case = "sliding window, exact, for everybody, refused";
    if suite.wants(case) {
        let ours = SlidingWindowLog::builder(FEW, LONG).per_key(false).build();
        let ours = ours.expect("a limit within our range");
        let alone = throttle_net::SlidingWindowLog::new(FEW, LONG);
        while ours.allow("all") || alone.try_acquire() {}
        let columns = vec![
            calling(OURS, &order, |key| ours.allow(key)),
            calling(THROTTLE_NET, &order, |_| alone.try_acquire()),
        ];
        row(suite, case, &[THROTTLE_NET], columns);
        assert!(!ours.allow("all") && !alone.try_acquire(), "none has gone through");
    }
}

/// Returns a column of calls through a service, which all go through.
fn tower_resilience(kind: WindowType, calls: usize) -> Column<'static> {
    let layer = RateLimiterLayer::builder().limit_for_period(LIMIT as usize).refresh_period(PER);
    let layer = layer.timeout_duration(Duration::ZERO).window_type(kind).build();
    let layer = layer.expect("a limit within its range");
    let mut service = layer.layer(service_fn(|()| async { Ok::<_, std::io::Error>(1) }));
    let runtime = runtime();
    Column::new(TOWER_RESILIENCE, move || {
        let call = async || {
            let ready = service.ready().await;
            ready.unwrap_or_else(|_| panic!("it is always ready")).call(()).await.is_ok()
        };
        runtime.block_on(per_await(calls, call))
    })
}

/// throttle-net's log for each key, as its users would keep them.
type Logs = Mutex<HashMap<String, throttle_net::SlidingWindowLog>>;

fn allow_by_key(logs: &Logs, key: &String, limit: u32, per: Duration) -> bool {
    let mut logs = logs.lock().expect("nobody panics under it");
    if let Some(log) = logs.get(key) {
        return log.try_acquire();
    }
    let log = throttle_net::SlidingWindowLog::new(limit, per);
    logs.entry(key.clone()).or_insert(log).try_acquire()
}

/// trypema's, of a rate that is never or soon exhausted.
fn trypema(per_second: f64) -> (Arc<LocalRateLimiterProvider>, RateLimit) {
    let builder = LocalRateLimiterProvider::builder().window_size(WindowSize::hours_or_panic(1));
    let builder = builder.bucket_size(BucketSize::milliseconds_or_panic(10));
    let provider = builder.build().expect("options within its range");
    (provider, RateLimit::per_second_or_panic(per_second))
}

fn log(suite: &mut Suite, population: &str, keys: usize) {
    let case = format!("sliding window, exact, {population}");
    if !suite.wants(&case) {
        return;
    }
    let order = Order::new(keys, suite.calls(), Draw::Uniform);
    let ours = SlidingWindowLog::new(LIMIT, PER).expect("a limit within our range");
    let logs = Logs::default();
    let (provider, rate) = trypema(1e9);
    let columns = vec![
        allowing(OURS, &order, keys, |key| ours.allow(key)),
        allowing(THROTTLE_NET, &order, keys, |key| allow_by_key(&logs, key, LIMIT, PER)),
        allowing(TRYPEMA, &order, keys, |key| {
            matches!(provider.absolute().inc(key, &rate, 1), RateLimitDecision::Allowed)
        }),
    ];
    row(suite, &case, &[THROTTLE_NET, TRYPEMA], columns);
}

fn refused(suite: &mut Suite) {
    let case = "sliding window, exact, 1 key, refused";
    if !suite.wants(case) {
        return;
    }
    let ours = SlidingWindowLog::new(FEW, LONG).expect("a limit within our range");
    let (logs, (provider, rate)) = (Logs::default(), trypema(1e-3));
    let counted =
        |key: &String| matches!(provider.absolute().inc(key, &rate, 1), RateLimitDecision::Allowed);
    let key = keys::key(0);
    while ours.allow(&key) || allow_by_key(&logs, &key, FEW, LONG) || counted(&key) {}
    let order = Order::new(1, suite.calls(), Draw::Uniform);
    let columns = vec![
        calling(OURS, &order, |key| ours.allow(key)),
        calling(THROTTLE_NET, &order, |key| allow_by_key(&logs, key, FEW, LONG)),
        calling(TRYPEMA, &order, counted),
    ];
    row(suite, case, &[THROTTLE_NET, TRYPEMA], columns);
    assert!(!ours.allow(&key), "none has gone through");
}
