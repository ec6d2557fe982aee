//! The naive models that limiters are held against: whole numbers, no tricks, nothing forgotten.
//!
//! A model counts in units: with `count` permits in `nanos` nanoseconds, one permit is `nanos`
//! units and each nanosecond drains `count` of them. So nothing is ever rounded.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use limitpal::{BucketBuilder, Decision, Rate, RetryAfter, TokenBucket};
use proptest::prelude::*;

/// A rate and the fraction it stands for: `count` in `nanos` nanoseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct ExactRate {
    pub(crate) rate: Rate,
    pub(crate) count: i128,
    pub(crate) nanos: i128,
}

impl ExactRate {
    pub(crate) fn new(per_second: f64, count: i128, seconds: i128) -> Self {
        Self { rate: Rate::per_second(per_second).unwrap(), count, nanos: seconds * 1_000_000_000 }
    }

    /// Returns the time of one permit, rounded up to a nanosecond.
    pub(crate) fn interval(&self) -> i64 {
        div_ceil(self.nanos, self.count)
    }
}

/// Rates as people give them, awkward ones too, and others.
pub(crate) fn rates() -> impl Strategy<Value = ExactRate> {
    let common = prop_oneof![
        Just(ExactRate::new(5.0, 5, 1)),
        Just(ExactRate::new(3.0, 3, 1)),
        Just(ExactRate::new(7.0, 7, 1)),
        Just(ExactRate::new(1.0 / 3.0, 1, 3)),
        Just(ExactRate::new(100.0 / 60.0, 5, 3)),
        Just(ExactRate::new(0.1, 1, 10)),
        Just(ExactRate::new(12.34, 617, 50)),
        Just(ExactRate::new(1e6, 1_000_000, 1)),
    ];
    let others = (1_u32..2000, 1_u64..20_000_000_000).prop_filter_map(
        "at most a million per second",
        |(count, nanos)| {
            let rate = Rate::new(count, Duration::from_nanos(nanos)).ok()?;
            Some(ExactRate { rate, count: count.into(), nanos: nanos.into() })
        },
    );
    prop_oneof![common, others]
}

/// Which of the two buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Token,
    Leaky,
}

pub(crate) fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Token), Just(Kind::Leaky)]
}

/// What a bucket is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Settings {
    pub(crate) kind: Kind,
    pub(crate) capacity: u32,
    pub(crate) rate: ExactRate,
    /// How many are there at zero, and how many may be owed: of a token bucket.
    pub(crate) initial: Option<u32>,
    pub(crate) debt: u32,
}

pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let capacity = prop_oneof![1_u32..6, 1_u32..200];
    let initial = prop_oneof![2 => Just(None), 1 => (0_u32..1000).prop_map(Some)];
    let debt = prop_oneof![2 => Just(0_u32), 1 => 1_u32..9];
    (kinds(), capacity, rates(), initial, debt).prop_map(|(kind, capacity, rate, initial, debt)| {
        let plain = Settings::new(kind, capacity, rate);
        match kind {
            Kind::Token => plain.with(initial.map(|initial| initial % (capacity + 1)), debt),
            Kind::Leaky => plain,
        }
    })
}

impl Settings {
    pub(crate) fn new(kind: Kind, capacity: u32, rate: ExactRate) -> Self {
        Self { kind, capacity, rate, initial: None, debt: 0 }
    }

    pub(crate) fn with(self, initial: Option<u32>, debt: u32) -> Self {
        Self { initial, debt, ..self }
    }

    /// Returns it without what only token buckets have.
    pub(crate) fn plain(self) -> Self {
        self.with(None, 0)
    }

    /// Returns the highest cost that is served.
    pub(crate) fn most(&self) -> u64 {
        u64::from(self.capacity) + u64::from(self.debt)
    }

    /// Starts a token bucket of these.
    pub(crate) fn token(&self) -> BucketBuilder<TokenBucket> {
        let builder = TokenBucket::builder(self.capacity, self.rate.rate).debt(self.debt);
        match self.initial {
            Some(initial) => builder.initial(initial),
            None => builder,
        }
    }

    fn units(&self, cost: u64) -> i128 {
        i128::from(cost) * self.rate.nanos
    }

    fn whole(&self) -> i128 {
        self.units(self.capacity.into())
    }

    /// Returns a window in which more than `capacity + debt + rate * W` was granted, as (time, cost).
    pub(crate) fn broken_window(&self, grants: &[(i64, u64)]) -> Option<String> {
        let rate = self.rate.count;
        (0..grants.len()).find_map(|first| {
            let mut units = 0;
            let begin = grants[first].0;
            grants[first..].iter().find_map(|(time, cost)| {
                units += self.units(*cost);
                let excess = units - self.units(self.most()) - rate * i128::from(time - begin);
                let early = excess.div_euclid(rate);
                (excess > 0)
                    .then(|| format!("{early} ns too early from {begin} to {time}: {grants:?}"))
            })
        })
    }
}

/// One bucket: what was taken and has not drained yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NaiveBucket {
    settings: Settings,
    backlog: i128,
    at: i64,
}

impl NaiveBucket {
    pub(crate) fn new(settings: Settings) -> Self {
        let Some(initial) = settings.initial else {
            return Self { settings, backlog: 0, at: i64::MIN };
        };
        let missing = settings.capacity - initial;
        Self { settings, backlog: settings.units(missing.into()), at: 0 }
    }

    /// Drains up to `now`.
    fn drain(&mut self, now: i64) {
        let elapsed = i128::from(now) - i128::from(self.at);
        self.backlog = (self.backlog - self.settings.rate.count * elapsed).max(0);
        self.at = now;
    }

    pub(crate) fn is_fresh(&mut self, now: i64) -> bool {
        self.drain(now);
        self.backlog == 0
    }

    /// Returns how long `allow` has to wait, nothing if for ever.
    fn allow_wait(&self, cost: u64) -> Option<i64> {
        // It goes when one is there, if it leaves no more owed than may be.
        let owed = cost.saturating_sub(1).min(self.settings.debt.into());
        let missing = self.backlog + self.settings.units(cost - owed) - self.settings.whole();
        (cost <= self.settings.most()).then(|| div_ceil(missing.max(0), self.settings.rate.count))
    }

    /// Returns how long `acquire` has to wait if nobody is before it, nothing if for ever.
    pub(crate) fn acquire_wait(&mut self, cost: u64, now: i64) -> Option<i64> {
        self.drain(now);
        let wait = self.allow_wait(cost)?;
        Some(match self.settings.kind {
            Kind::Token => wait,
            Kind::Leaky => div_ceil(self.backlog, self.settings.rate.count),
        })
    }

    fn take(&mut self, cost: u64, now: i64) {
        self.drain(now);
        self.backlog += self.settings.units(cost);
    }

    /// Takes after a wait that was rounded up to a nanosecond, and counts from there: so no window
    /// sees too much, not by a part of a nanosecond.
    pub(crate) fn take_after(&mut self, wait: i64, cost: u64, now: i64) {
        self.take(cost, now + wait);
    }

    pub(crate) fn peek(&mut self, cost: u64, now: i64) -> Decision {
        self.drain(now);
        let remaining = (self.settings.whole() - self.backlog).max(0) / self.settings.rate.nanos;
        let retry_after = match self.allow_wait(cost) {
            Some(0) => RetryAfter::Now,
            Some(wait) => RetryAfter::After(span(wait)),
            None => RetryAfter::Never,
        };
        let reset_after = div_ceil(self.backlog, self.settings.rate.count);
        let remaining = remaining.try_into().unwrap();
        Decision::new(self.settings.capacity, remaining, retry_after, span(reset_after))
    }

    pub(crate) fn check(&mut self, cost: u64, now: i64) -> Decision {
        let before = self.peek(cost, now);
        if !before.allowed {
            return before;
        }
        self.take(cost, now);
        let after = self.peek(1, now);
        Decision::new(before.limit, after.remaining, before.retry_after, after.reset_after)
    }
}

/// A bucket for each key, and none ever forgotten.
pub(crate) struct NaiveStore {
    settings: Settings,
    buckets: HashMap<String, NaiveBucket>,
}

impl NaiveStore {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, buckets: HashMap::new() }
    }

    pub(crate) fn bucket(&mut self, key: &str) -> &mut NaiveBucket {
        let new = NaiveBucket::new(self.settings);
        self.buckets.entry(key.to_owned()).or_insert(new)
    }

    pub(crate) fn reset(&mut self, key: &str) {
        self.buckets.remove(key);
    }

    /// Returns how many buckets are not as new.
    pub(crate) fn live(&mut self, now: i64) -> usize {
        self.buckets.values_mut().filter_map(|bucket| (!bucket.is_fresh(now)).then_some(())).count()
    }
}

/// A bucket and those who wait for it: the first in line goes as soon as the bucket lets it.
#[derive(Clone, Debug)]
pub(crate) struct NaiveLine {
    bucket: NaiveBucket,
    waiters: VecDeque<(usize, u64)>,
    now: i64,
    granted: Vec<(usize, i64)>,
}

impl NaiveLine {
    pub(crate) fn new(settings: Settings, now: i64) -> Self {
        let bucket = NaiveBucket::new(settings);
        Self { bucket, waiters: VecDeque::new(), now, granted: Vec::new() }
    }

    /// Lets time pass, granting on the way.
    pub(crate) fn pass(&mut self, until: i64) {
        while let Some((who, cost)) = self.waiters.front().copied() {
            let wait = self.bucket.acquire_wait(cost, self.now).expect("nobody waits for ever");
            if self.now + wait > until {
                break;
            }
            self.bucket.take_after(wait, cost, self.now);
            self.now += wait;
            self.waiters.pop_front();
            self.granted.push((who, self.now));
        }
        self.now = until;
    }

    /// Joins the line, unless the wait would be longer than `timeout`: the wait.
    pub(crate) fn join(&mut self, who: usize, cost: u64, timeout: i64) -> Result<(), i64> {
        let mut future = self.clone();
        future.waiters.push_back((who, cost));
        future.pass(i64::MAX / 2);
        let wait = future.granted.last().expect("all are granted in the end").1 - self.now;
        if wait > timeout {
            return Err(wait);
        }
        self.waiters.push_back((who, cost));
        self.pass(self.now);
        Ok(())
    }

    /// Leaves the line; false if it was granted already.
    pub(crate) fn leave(&mut self, who: usize) -> bool {
        let before = self.waiters.len();
        self.waiters.retain(|(own, _)| *own != who);
        self.pass(self.now);
        self.waiters.len() < before
    }

    /// Returns who was granted when, in order.
    pub(crate) fn granted(mut self) -> Vec<(usize, i64)> {
        self.pass(i64::MAX / 2);
        self.granted
    }
}

pub(crate) fn span(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.try_into().expect("a span is not negative"))
}

fn div_ceil(over: i128, under: i128) -> i64 {
    ((over + under - 1) / under).try_into().expect("no model runs for 292 years")
}
