//! Adaptive limits before a service with a knee: where they settle, and that they follow it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use limitpal::AdaptiveAlgorithm::{self, Aimd, Gradient2, Vegas};
use limitpal::{AdaptiveConcurrency, AdaptivePermit, Instant, MockClock};

/// How long a call takes that need not queue, give or take `NOISE`.
const BASE: Duration = Duration::from_millis(100);

/// A service that has so many calls at work in `BASE`: more than `knee` at a time queue, so that
/// their latency is `BASE` plus queue by capacity.
struct Service {
    clock: MockClock,
    limiter: AdaptiveConcurrency,
    /// How many calls may be in flight without a queue, and how many before the rest is dropped.
    knee: u32,
    room: u32,
    /// When the service takes the next call.
    free: Instant,
    calls: BinaryHeap<Reverse<(Instant, u64)>>,
    permits: HashMap<u64, AdaptivePermit>,
    begun: u64,
    noise: f64,
}

/// What was seen while a service lived.
#[derive(Debug)]
struct Seen {
    /// The mean limit, as a share of the knee.
    limit: f64,
    /// The calls done, as a share of the capacity.
    throughput: f64,
}

impl Service {
    fn new(algorithm: AdaptiveAlgorithm, noise: f64, seed: u64) -> Self {
        let clock = MockClock::new();
        let builder = AdaptiveConcurrency::builder().algorithm(algorithm).max(300).seed(seed);
        let limiter = builder.clock(&clock).build().unwrap();
        Self {
            clock,
            limiter,
            knee: 100,
            room: u32::MAX,
            free: Instant::ZERO,
            calls: BinaryHeap::new(),
            permits: HashMap::new(),
            begun: seed,
            noise,
        }
    }

    /// Begins as many calls as the limiter lets through.
    fn fill(&mut self) {
        while let Some(permit) = self.limiter.try_acquire() {
            let now = self.clock.now();
            self.begun += 1;
            if self.permits.len() as u32 >= self.room {
                permit.dropped();
                return;
            }
            let start = self.free.max(now);
            self.free = start + BASE / self.knee;
            // A number from -1 to 1 that looks like chance.
            let chance = (self.begun as f64 * 0.618_033_988_749).fract() * 2.0 - 1.0;
            let takes = BASE.mul_f64(1.0 + self.noise * chance);
            self.calls.push(Reverse((start + takes, self.begun)));
            self.permits.insert(self.begun, permit);
        }
    }

    /// Lives through so much time under more demand than it can bear.
    fn live(&mut self, span: Duration) -> Seen {
        let (begin, end) = (self.clock.now(), self.clock.now() + span);
        let (mut done, mut limits) = (0_u32, 0.0);
        self.fill();
        while let Some(Reverse((at, number))) = self.calls.pop() {
            self.clock.advance(at.saturating_duration_since(self.clock.now()));
            self.permits.remove(&number).unwrap().success();
            done += 1;
            limits += f64::from(self.limiter.limit());
            self.fill();
            if at >= end {
                break;
            }
        }
        let seconds = self.clock.now().saturating_duration_since(begin).as_secs_f64();
        let capacity = f64::from(self.knee) / BASE.as_secs_f64();
        Seen {
            limit: limits / f64::from(done) / f64::from(self.knee),
            throughput: f64::from(done) / seconds / capacity,
        }
    }
}

const LONG: Duration = Duration::from_secs(40);

fn assert_settled(seen: &Seen, highest: f64, story: &str) {
    assert!((0.9..=highest).contains(&seen.limit), "{story}: {seen:?}");
    assert!((0.9..=1.1).contains(&seen.throughput), "{story}: {seen:?}");
}

/// Both let the service do nine tenths of what it can at least. `Gradient2` keeps the calls in
/// flight within a tenth of the knee, `Vegas` up to a fifth more, for it wants a few to queue.
#[test]
fn a_limit_settles_near_the_knee_and_follows_it() {
    for (algorithm, highest) in [(Gradient2, 1.1), (Vegas, 1.2)] {
        for (noise, seed) in [(0.0, 1), (0.3, 3)] {
            let mut service = Service::new(algorithm, noise, seed);
            for knee in [100, 50, 150] {
                service.knee = knee;
                service.live(LONG);

                let seen = service.live(LONG);

                assert_settled(
                    &seen,
                    highest,
                    &format!("{algorithm:?}, noise {noise}, knee {knee}"),
                );
            }
        }
    }
}

#[test]
fn aimd_settles_within_a_tenth_of_where_calls_are_dropped_and_follows_it() {
    let mut service = Service::new(Aimd, 0.1, 1);
    for knee in [100, 50, 150] {
        (service.knee, service.room) = (knee, knee);
        service.live(LONG);

        let seen = service.live(LONG);

        assert_settled(&seen, 1.1, &format!("knee {knee}"));
    }
}

#[test]
fn aimd_without_drops_grows_to_its_bound() {
    let mut service = Service::new(Aimd, 0.1, 1);

    service.live(2 * LONG);

    assert_eq!(300, service.limiter.limit());
}
