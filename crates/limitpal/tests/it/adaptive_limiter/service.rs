//! Adaptive rates before a service of some capacity: where they settle, and that they follow it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use limitpal::RateAlgorithm::{self, Aimd, Cubic};
use limitpal::{AdaptiveLimiter, AdaptiveLimiterBuilder, Instant, MockClock, TokenBucket};

use super::{per_second, starting};

/// A service that does `knee` calls a second, and throttles the rest; so many may come at once.
struct Service {
    clock: MockClock,
    limiter: AdaptiveLimiter,
    knee: f64,
    bucket: TokenBucket,
    latency: Duration,
    /// When it answers what to which call.
    answers: BinaryHeap<Reverse<(Instant, u64, bool)>>,
    sent: u64,
}

/// What was seen while a service lived.
#[derive(Debug)]
struct Seen {
    /// The calls done, as a share of the capacity.
    throughput: f64,
    /// The calls thrown out, as a share of those sent.
    throttled: f64,
}

fn bucket(knee: f64, burst: f64, clock: &MockClock) -> TokenBucket {
    let capacity = (knee * burst).max(1.0) as u32;
    TokenBucket::builder(capacity, per_second(knee)).per_key(false).clock(clock).build().unwrap()
}

impl Service {
    /// `burst`: the seconds of its capacity that a service takes at once.
    fn new(
        builder: AdaptiveLimiterBuilder,
        clock: &MockClock,
        latency: Duration,
        burst: f64,
    ) -> Self {
        Self {
            clock: clock.clone(),
            limiter: builder.build().unwrap(),
            knee: 100.0,
            bucket: bucket(100.0, burst, clock),
            latency,
            answers: BinaryHeap::new(),
            sent: 0,
        }
    }

    fn set_knee(&mut self, knee: f64, burst: f64) {
        (self.knee, self.bucket) = (knee, bucket(knee, burst, &self.clock));
    }

    /// Hears what is answered by now.
    fn hear(&mut self) {
        let now = self.clock.now();
        while self.answers.peek().is_some_and(|Reverse((at, _, _))| *at <= now) {
            let Some(Reverse((_, _, done))) = self.answers.pop() else { return };
            if done {
                self.limiter.record_success("api");
            } else {
                self.limiter.record_throttled("api");
            }
        }
    }

    /// Lives through so much time, with more to do than it can bear.
    fn live(&mut self, span: Duration) -> Seen {
        let end = self.clock.now() + span;
        let (mut sent, mut done) = (0_u32, 0_u32);
        while self.clock.now() < end {
            self.hear();
            let now = self.clock.now();
            let answer = self.limiter.check("api");
            if answer.allowed {
                let is_done = self.bucket.allow("any");
                self.sent += 1;
                sent += 1;
                done += u32::from(is_done);
                // It throws out faster than it works.
                let takes = if is_done { self.latency } else { self.latency / 5 };
                self.answers.push(Reverse((now + takes, self.sent, is_done)));
                continue;
            }
            let next = now + answer.retry_after.duration().unwrap();
            let next = self.answers.peek().map_or(next, |Reverse((at, _, _))| next.min(*at));
            self.clock.advance(next.saturating_duration_since(now));
        }
        let throughput = f64::from(done) / span.as_secs_f64() / self.knee;
        Seen { throughput, throttled: f64::from(sent - done) / f64::from(sent) }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const LATENCIES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(300)];

fn live_through(
    make: impl Fn(&MockClock) -> AdaptiveLimiterBuilder,
    (latency, burst): (Duration, f64),
    mut see: impl FnMut(f64, &Seen),
) {
    let clock = MockClock::new();
    let mut service = Service::new(make(&clock), &clock, latency, burst);
    for knee in [100.0, 50.0, 150.0, 100.0] {
        service.set_knee(knee, burst);
        service.live(MINUTE);
        see(knee, &service.live(MINUTE));
    }
}

fn with(algorithm: RateAlgorithm) -> impl Fn(&MockClock) -> AdaptiveLimiterBuilder {
    move |clock| starting(1000.0, clock).algorithm(algorithm)
}

#[test]
fn the_throughput_settles_within_a_tenth_of_the_knee_and_follows_it() {
    for algorithm in [Cubic, Aimd] {
        for latency in LATENCIES {
            for burst in [0.02, 0.1, 1.0] {
                live_through(with(algorithm), (latency, burst), |knee, seen| {
                    let story = format!("{algorithm:?}, {latency:?}, burst {burst}, knee {knee}");
                    println!("{story}: {seen:?}");
                    assert!((0.9..1.02).contains(&seen.throughput), "{story}: {seen:?}");
                    assert!(seen.throttled < 0.03, "{story}: {seen:?}");
                });
            }
        }
    }
}

/// Why the defaults are not 0.7 for both, with no cooldown.
#[test]
fn a_deeper_fall_of_aimd_and_a_cubic_without_cooldown_lie_below_nine_tenths() {
    let worst = |make: &dyn Fn(&MockClock) -> AdaptiveLimiterBuilder| {
        let mut worst = f64::INFINITY;
        for latency in LATENCIES {
            live_through(make, (latency, 0.02), |_, seen| worst = worst.min(seen.throughput));
        }
        worst
    };

    let aimd = worst(&|clock| with(Aimd)(clock).decrease(0.7));
    let cubic = worst(&|clock| with(Cubic)(clock).cooldown(Duration::ZERO));

    println!("aimd {aimd}, cubic without a cooldown {cubic}");
    assert!((0.7..0.9).contains(&aimd), "{aimd}");
    assert!((0.4..0.9).contains(&cubic), "{cubic}");
}
