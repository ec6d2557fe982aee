//! What hedging wins and costs, in figures: of 20,000 calls one in a hundred is slow.

use super::*;

/// Numbers that come in the same order in every run.
struct Draws(u64);

impl Draws {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Returns the latency of each of so many calls, in milliseconds, one after the other.
fn latencies(hedge: Option<HedgeBuilder>, slow: f64, calls: usize) -> (Vec<u64>, f64) {
    let clock = MockClock::new();
    let builder = match hedge {
        Some(hedge) => hedged(&clock, hedge),
        None => ResilientExecutor::builder().clock(&clock),
    };
    let executor: ResilientExecutor<&str> = builder.build().unwrap();
    let draws = RefCell::new(Draws(7));
    let mut took: Vec<u64> = (0..calls)
        .map(|_| {
            let start = clock.now();
            let call = || {
                let (mut draws, usual) = (draws.borrow_mut(), 10.0);
                let latency = match draws.next() < slow {
                    true => 1000.0,
                    false => usual + 10.0 * draws.next(),
                };
                let sleep = clock.sleep(MS.mul_f64(latency));
                async move {
                    sleep.await;
                    Ok::<_, &str>(())
                }
            };
            drive(&clock, executor.run("api", call)).unwrap();
            clock.now().saturating_duration_since(start).as_millis() as u64
        })
        .collect();
    took.sort_unstable();
    (took, executor.stats().hedges as f64 / calls as f64)
}

fn percentile(took: &[u64], percent: f64) -> u64 {
    took[(took.len() as f64 * percent / 100.0) as usize]
}

#[test]
fn at_two_percent_slow_calls_the_99th_percentile_is_that_of_a_usual_call() {
    let (plain, _) = latencies(None, 0.02, 20_000);
    let hedge = Hedge::builder().percentile(95.0);
    let (hedged, load) = latencies(Some(hedge), 0.02, 20_000);

    // These figures are in docs/hedging.md.
    assert_eq!([15, 1000, 1000], [50.0, 99.0, 99.9].map(|percent| percentile(&plain, percent)));
    let seen = [50.0, 99.0, 99.9].map(|percent| percentile(&hedged, percent));
    assert_eq!(([15, 34, 39], 0.03), (seen, (load * 100.0).round() / 100.0));
}

#[test]
fn what_lost_to_its_hedge_counts_so_that_the_share_of_hedges_stays() {
    // One in ten is slow, and its hedge nearly always wins. Were those left out, the percentile
    // would be that of the rest: at 80 % a quarter of the calls would be hedged, not a fifth.
    for percent in [70.0, 80.0] {
        let hedge = Hedge::builder().percentile(percent).max_extra_load(1.0);
        let (_, load) = latencies(Some(hedge), 0.1, 20_000);

        let share = 1.0 - percent / 100.0;
        // A little less, as what is read lies up to a 32nd above the percentile.
        assert!(load <= share && load > 0.5 * share, "{load} of the calls, not {share}");
    }
}

#[test]
fn until_enough_is_known_the_delay_counts_or_there_is_no_hedge() {
    for (delay, expected) in [(None, 0), (Some(30 * MS), 9)] {
        let clock = MockClock::new();
        let mut hedge = Hedge::builder().percentile(90.0).min_samples(10);
        if let Some(delay) = delay {
            hedge = hedge.delay(delay);
        }
        let executor = hedged(&clock, hedge).build().unwrap();
        let service = Service::new(&clock, [ok(40 * MS)]);
        for _ in 0..9 {
            assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
        }
        assert_eq!(expected, executor.stats().hedges, "{delay:?}");
    }
    // From then on what is usual gets none, and what is slower does.
    let clock = MockClock::new();
    let hedge = Hedge::builder().percentile(90.0).min_samples(10);
    let executor = hedged(&clock, hedge).build().unwrap();
    let mut lines = vec![ok(40 * MS); 30];
    lines.push(ok(80 * MS));
    let service = Service::new(&clock, lines);
    for _ in 0..31 {
        assert_eq!(Ok("value"), drive(&clock, executor.run("api", || service.call())));
    }
    assert_eq!(1, executor.stats().hedges);
}

#[test]
fn failures_and_refusals_are_no_latencies() {
    let clock = MockClock::new();
    let hedge = Hedge::builder().percentile(50.0).min_samples(1);
    let executor = hedged(&clock, hedge).build().unwrap();
    let failing = Service::new(&clock, [err(MS, "down")]);
    for _ in 0..5 {
        let _ = drive(&clock, executor.run("api", || failing.call()));
    }
    let slow = Service::new(&clock, [ok(5000 * MS)]);
    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || slow.call())));

    assert_eq!(0, executor.stats().hedges, "nothing was known");
    let slower = Service::new(&clock, [ok(9000 * MS)]);
    assert_eq!(Ok("value"), drive(&clock, executor.run("api", || slower.call())));
    assert_eq!(1, executor.stats().hedges);
}
