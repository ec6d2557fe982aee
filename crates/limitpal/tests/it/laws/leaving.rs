//! Many come and three in ten leave again: nearly all of the rate is granted, and never more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use limitpal::{AnyLimiter, Clock, Instant, MockClock};
use proptest::prelude::*;

use super::lines::Crowd;
use super::{Settings, bucket_on, cases, thousandths};
use crate::conformance::parked::ParkedClock;
use crate::models::{ExactRate, Kind, settings, span};

const MANY: usize = 1500;

/// Those who come, wait and leave, in one way or another.
trait Waiters {
    fn now(&self) -> i64;
    fn pass(&mut self, until: i64);
    /// Comes, and says whether it has to wait.
    fn join(&mut self, who: usize, patience: Duration) -> bool;
    fn leave(&mut self, who: usize);
    fn waiting(&self) -> usize;
    /// Who was granted when, in order.
    fn granted(&self) -> Vec<(usize, i64)>;
}

/// Futures on the mock clock.
struct Futures(Crowd, MockClock);

impl Waiters for Futures {
    fn now(&self) -> i64 {
        self.1.now().as_nanos()
    }

    fn pass(&mut self, until: i64) {
        self.0.pass(span(until - self.now()));
    }

    fn join(&mut self, who: usize, patience: Duration) -> bool {
        self.0.join(who, 1, patience);
        self.0.tasks.unfinished().last() == Some(&&*who.to_string())
    }

    fn leave(&mut self, who: usize) {
        self.0.leave(who);
    }

    fn waiting(&self) -> usize {
        self.0.tasks.unfinished().len()
    }

    fn granted(&self) -> Vec<(usize, i64)> {
        self.0.granted.clone()
    }
}

/// Threads on a clock of the user's, who cannot be moved; one leaves by a panic in its sleep.
struct Threads {
    clock: ParkedClock,
    limiter: AnyLimiter,
    threads: HashMap<usize, ThreadId>,
    ended: Arc<Mutex<Vec<(usize, i64, bool)>>>,
    left: usize,
}

impl Threads {
    fn new(settings: Settings) -> Self {
        let clock = ParkedClock::default();
        let limiter = bucket_on(settings, clock.shared());
        Self { clock, limiter, threads: HashMap::new(), ended: Arc::default(), left: 0 }
    }
}

impl Waiters for Threads {
    fn now(&self) -> i64 {
        self.clock.now().as_nanos()
    }

    fn pass(&mut self, until: i64) {
        self.clock.move_to(Instant::from_nanos(until));
    }

    fn join(&mut self, who: usize, patience: Duration) -> bool {
        let (limiter, clock) = (self.limiter.clone(), self.clock.clone());
        let (ended, before) = (Arc::clone(&self.ended), self.ended.lock().unwrap().len());
        let thread = self.clock.start(move || {
            let granted = limiter.acquire_timeout_blocking("k", patience).is_ok();
            ended.lock().unwrap().push((who, clock.now().as_nanos(), granted));
        });
        self.threads.insert(who, thread.thread().id());
        self.ended.lock().unwrap().len() == before
    }

    fn leave(&mut self, who: usize) {
        self.left += usize::from(self.clock.interrupt(self.threads[&who]));
    }

    fn waiting(&self) -> usize {
        self.threads.len() - self.ended.lock().unwrap().len() - self.left
    }

    fn granted(&self) -> Vec<(usize, i64)> {
        let ended = self.ended.lock().unwrap();
        ended.iter().filter(|(_, _, granted)| *granted).map(|(who, at, _)| (*who, *at)).collect()
    }
}

/// Sends many, and lets some of those who wait leave again; returns the share of the rate granted.
fn granted_share(
    settings: Settings,
    waiters: &mut impl Waiters,
    arrivals: usize,
    leavers: f64,
    seed: u64,
) -> f64 {
    let mut random = fastrand::Rng::with_seed(seed);
    let interval = thousandths(&settings, 1000);
    let mut leaving = Vec::<(i64, usize)>::new();

    for who in 0..arrivals {
        // Load 1.5: one comes in two thirds of an interval on average.
        let next = waiters.now() + random.i64(0..=4 * interval / 3);
        leaving.sort_unstable();
        while leaving.first().is_some_and(|(at, _)| *at <= next) {
            let (at, leaver) = leaving.remove(0);
            waiters.pass(at);
            waiters.leave(leaver);
        }
        waiters.pass(next);
        if waiters.join(who, span(30 * interval)) && random.f64() < leavers {
            let line = interval * i64::try_from(waiters.waiting()).unwrap();
            leaving.push((next + random.i64(0..=line), who));
        }
    }

    let grants: Vec<_> = waiters.granted().iter().map(|(_, at)| (*at, 1)).collect();
    assert_eq!(None, settings.broken_window(&grants), "seed {seed}");
    let due = i128::from(waiters.now()) * settings.rate.count / settings.rate.nanos;
    grants.len() as f64 / due as f64
}

fn buckets() -> impl Iterator<Item = Settings> {
    let kinds = [(Kind::Token, 1), (Kind::Token, 5), (Kind::Leaky, 5)];
    kinds.into_iter().flat_map(|(kind, capacity)| {
        let rates = [ExactRate::new(5.0, 5, 1), ExactRate::new(7.0, 7, 1)];
        rates.map(|rate| Settings::new(kind, capacity, rate))
    })
}

#[test]
fn with_three_in_ten_leaving_nearly_all_of_the_rate_is_granted_in_order() {
    for settings in buckets() {
        for seed in 1..3 {
            let clock = MockClock::new();
            let crowd = Crowd::new(clock.clone(), bucket_on(settings, &clock));
            let mut waiters = Futures(crowd, clock);

            let share = granted_share(settings, &mut waiters, MANY, 0.3, seed);

            assert!(share >= 0.95, "{settings:?}, seed {seed}: {share}");
            let in_order = waiters.granted().is_sorted_by_key(|(who, _)| *who);
            assert!(in_order, "{settings:?}, seed {seed}: somebody was overtaken");
        }
    }
}

#[test]
fn with_three_in_ten_threads_leaving_that_cannot_be_moved_nearly_all_is_granted() {
    for settings in buckets() {
        let mut waiters = Threads::new(settings);

        let share = granted_share(settings, &mut waiters, MANY, 0.3, 1);

        assert!(waiters.left > MANY / 8, "only {} left", waiters.left);
        assert!(share >= 0.95, "{settings:?}: {share}");
    }
}

proptest! {
    #![proptest_config(cases(30))]

    #[test]
    fn threads_that_leave_never_break_the_bound(
        settings in settings(),
        leavers in 0.0..1.0,
        seed in any::<u64>(),
    ) {
        // It is `granted_share` that holds the grants against the bound.
        let share = granted_share(settings, &mut Threads::new(settings), 120, leavers, seed);

        prop_assert!(share > 0.0);
    }
}
