//! A crowd waits for one key, and three in ten leave again: nearly all of the rate is granted,
//! never more, and nobody is overtaken or starved.

mod mixed;
mod wakers;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use limitpal::{Instant, MockClock};

use self::mixed::{Crowd, Way};
use crate::models::{ExactRate, Kind, NaiveLine, Settings, span};
use crate::waiters::{Bells, bucket};

const MANY: usize = 1200;

/// A crowd, and what becomes of it in the model where all can be moved.
struct Outcome {
    crowd: Crowd,
    line: NaiveLine,
    costs: Vec<u64>,
}

/// Sends many; three in ten of those who wait leave at some time in their wait.
fn send(settings: Settings, threads: f64, seed: u64) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut crowd, mut line) = (Crowd::new(settings), NaiveLine::new(settings, 0));
    let interval = settings.rate.interval();
    let (mut leaving, mut costs) = (Vec::<(i64, usize)>::new(), Vec::new());
    for _ in 0..MANY {
        let cost = random.u64(1..=settings.capacity.min(3).into());
        // Load 1.5: each comes in two thirds of the time that its permits take, on average.
        let next = crowd.now() + random.i64(0..=4 * interval * i64::try_from(cost).unwrap() / 3);
        leaving.sort_unstable();
        while leaving.first().is_some_and(|(at, _)| *at <= next) {
            let (at, leaver) = leaving.remove(0);
            crowd.pass(at);
            line.pass(at);
            crowd.leave(leaver);
            line.leave(leaver);
        }
        crowd.pass(next);
        line.pass(next);
        let way = if random.f64() < threads { Way::Thread } else { Way::Task };
        let patience = 30 * interval;
        let who = crowd.join(way, cost, span(patience));
        let _ = line.join(who, cost, patience);
        costs.push(cost);
        if crowd.waits(who) && random.f64() < 0.3 {
            let wait = interval * i64::try_from(crowd.waiting()).unwrap();
            leaving.push((next + random.i64(0..=wait), who));
        }
    }
    Outcome { crowd, line, costs }
}

impl Outcome {
    /// Returns the share of the rate that was granted; no window may have seen too much.
    fn share(&self, settings: Settings, seed: u64) -> f64 {
        let granted = self.crowd.granted();
        let takes: Vec<_> = granted.iter().map(|(who, at)| (*at, self.costs[*who])).collect();
        assert_eq!(None, settings.broken_window(&takes), "seed {seed}");
        let permits: u64 = takes.iter().map(|(_, cost)| cost).sum();
        let due = i128::from(self.crowd.now()) * settings.rate.count / settings.rate.nanos;
        permits as f64 / due as f64
    }
}

fn buckets() -> impl Iterator<Item = Settings> {
    let kinds = [(Kind::Token, 1), (Kind::Token, 5), (Kind::Leaky, 1), (Kind::Leaky, 5)];
    kinds.into_iter().flat_map(|(kind, capacity)| {
        let rates = [ExactRate::new(5.0, 5, 1), ExactRate::new(3.0, 3, 1)];
        rates.map(|rate| Settings::new(kind, capacity, rate))
    })
}

#[test]
fn with_three_in_ten_tasks_leaving_each_other_goes_when_the_naive_line_says() {
    for settings in buckets() {
        for seed in 1..4 {
            let mut outcome = send(settings, 0.0, seed);
            let share = outcome.share(settings, seed);
            assert!(outcome.crowd.left > MANY / 8, "only {} left", outcome.crowd.left);
            assert!(share >= 0.95, "{settings:?}, seed {seed}: {share}");

            outcome.crowd.pass(outcome.crowd.now() + 100 * settings.rate.interval());
            assert_eq!(outcome.line.granted(), outcome.crowd.granted(), "{settings:?}, {seed}");
        }
    }
}

#[test]
fn with_three_in_ten_leaving_of_tasks_and_threads_nearly_all_is_granted() {
    for settings in buckets() {
        for threads in [0.5, 0.9] {
            let outcome = send(settings, threads, 7);
            let share = outcome.share(settings, 7);
            assert!(outcome.crowd.left > MANY / 8, "only {} left", outcome.crowd.left);
            assert!(share >= 0.95, "{settings:?}, {threads} threads: {share}");
        }
    }
}

/// Ten permits a second, five at a time; small ones come for ever, waiting and not.
#[test]
fn one_that_takes_all_is_not_starved_by_small_ones() {
    for kind in [Kind::Token, Kind::Leaky] {
        for (big, small) in
            [(Way::Task, Way::Task), (Way::Task, Way::Thread), (Way::Thread, Way::Task)]
        {
            let settings = Settings::new(kind, 5, ExactRate::new(10.0, 10, 1));
            let mut crowd = Crowd::new(settings);
            assert!((0..5).all(|_| crowd.limiter.allow("k")));

            let who = crowd.join(big, 5, Duration::MAX);
            for tick in 1..=200_i64 {
                let joins = crowd.limiter.allow("k") || tick % 10 == 0;
                assert!(!joins || kind == Kind::Leaky || tick % 10 == 0, "past the one who waits");
                crowd.join(small, 1, Duration::MAX);
                crowd.pass(tick * 10_000_000);
            }

            let granted = crowd.granted();
            assert_eq!((who, 500_000_000), granted[0], "{kind:?}, {big:?} and {small:?}");
            assert!(granted.len() > 10, "and the small ones go after it");
        }
    }
}

#[test]
fn a_thousand_who_wait_are_woken_once_each_and_go_in_the_order_in_which_they_came() {
    const N: usize = 1000;
    for kind in [Kind::Token, Kind::Leaky] {
        let clock = MockClock::new();
        let settings = Settings::new(kind, 1, ExactRate::new(1000.0, 1000, 1));
        let limiter = bucket(settings, true, &clock);
        assert!(limiter.allow("k"));
        let (bells, mut polls, mut granted) = (Bells::default(), 0, Vec::new());
        let mut waits: Vec<_> = (0..N).map(|_| Box::pin(limiter.acquire("k"))).collect();
        let mut poll = |who: usize| {
            polls += 1;
            let wait: Pin<&mut dyn Future<Output = _>> = waits[who].as_mut();
            wait.poll(&mut Context::from_waker(&bells.waker(who)))
        };

        assert!((0..N).all(|who| poll(who).is_pending()));
        while granted.len() < N {
            clock.advance(clock.next_deadline().expect("somebody sleeps"));
            while let Some(who) = bells.next() {
                assert_eq!(Poll::Ready(Ok(())), poll(who));
                granted.push((who, clock.now()));
            }
        }

        let due = |who: usize| Instant::ZERO + Duration::from_millis(who as u64 + 1);
        assert_eq!((0..N).map(|who| (who, due(who))).collect::<Vec<_>>(), granted);
        assert_eq!((N as u32, 2 * N), (bells.wakes(), polls));
    }
}
