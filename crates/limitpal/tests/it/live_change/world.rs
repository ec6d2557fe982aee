//! Those who take, wait, sleep and leave, while the limiter changes under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use limitpal::parts::{
    AdaptiveRate, AdaptiveRateSettings, Bucket, FixedCount, Grant, Keyed, KeyedOptions, Pace, Part,
    Pending, Place, Request, SlidingCount, SlidingLog, Stored, Turn, WarmUp,
};
use limitpal::{Align, Carry, Instant, Limits, MockClock, Rate, RetryAfter, SharedClock};
use proptest::prelude::*;

pub(super) const KEY: &str = "k";

/// How a limiter counts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Token,
    Leaky,
    Fixed(Align),
    Counter,
    Log,
    WarmUp,
    Adaptive,
    /// A token bucket that may be overdrawn by so many.
    Debt(u32),
}

/// A limiter of some kind: so many permits, and one each so many nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) kind: Kind,
    pub(super) most: u32,
    pub(super) nanos: u64,
    /// With `false`, the limiter has one bucket, which a take changes without a lock.
    pub(super) per_key: bool,
}

pub(super) fn made() -> impl Strategy<Value = Made> {
    let kind = prop_oneof![
        4 => Just(Kind::Token),
        3 => Just(Kind::Leaky),
        1 => Just(Kind::Fixed(Align::Clock)),
        1 => Just(Kind::Fixed(Align::FirstUse)),
        1 => Just(Kind::Counter),
        1 => Just(Kind::Log),
        1 => Just(Kind::WarmUp),
        1 => Just(Kind::Adaptive),
        1 => (1_u32..4).prop_map(Kind::Debt),
    ];
    (kind, 1_u32..6, 1_u64..50, any::<bool>()).prop_map(|(kind, most, nanos, per_key)| Made {
        kind,
        most,
        nanos,
        per_key,
    })
}

/// Returns limits of so many permits, and one each so many nanoseconds, times a thousand so that
/// a rate is in its range.
pub(super) fn limits(most: Option<u32>, nanos: Option<u64>) -> Limits {
    let rate = nanos.map(|nanos| Rate::new(7, Duration::from_nanos(7_001 * nanos)).unwrap());
    Limits::some(most, rate, nanos.map(|nanos| Duration::from_nanos(4_000 * nanos)))
}

impl Made {
    pub(super) fn is_window(&self) -> bool {
        !matches!(self.kind, Kind::Token | Kind::Leaky | Kind::Debt(_))
    }

    fn limiter(&self, clock: &MockClock) -> Arc<dyn Part<SharedClock>> {
        let (_, rate, per) = limits(None, Some(self.nanos)).get();
        let (rate, per, most) = (rate.unwrap(), per.unwrap(), self.most);
        match self.kind {
            Kind::Token => self.keyed(Bucket::new(most, rate, Pace::Burst).unwrap(), clock),
            Kind::Leaky => self.keyed(Bucket::new(most, rate, Pace::Even).unwrap(), clock),
            Kind::Fixed(align) => self.keyed(FixedCount::new(most, per, align).unwrap(), clock),
            Kind::Counter => self.keyed(SlidingCount::new(most, per).unwrap(), clock),
            Kind::WarmUp => {
                let warm_up = Duration::from_nanos(9_000 * self.nanos);
                self.keyed(WarmUp::new(most, rate, warm_up, 3.0).unwrap(), clock)
            }
            Kind::Debt(debt) => {
                let bucket = Bucket::new(most, rate, Pace::Burst).unwrap();
                self.keyed(bucket.with_debt(debt).unwrap(), clock)
            }
            Kind::Adaptive => {
                let settings = AdaptiveRateSettings::new(rate).unwrap();
                let settings = AdaptiveRateSettings { burst: most, ..settings };
                self.keyed(AdaptiveRate::new(settings).unwrap(), clock)
            }
            Kind::Log => self.keyed(SlidingLog::new(most, per).unwrap(), clock),
        }
    }

    fn keyed<A: Stored>(&self, counts: A, clock: &MockClock) -> Arc<dyn Part<SharedClock>> {
        let options = KeyedOptions { per_key: self.per_key, ..KeyedOptions::default() };
        Arc::new(Keyed::new(counts, options, clock.clone().into()).unwrap())
    }
}

/// One who waits, and until when it sleeps.
#[derive(Debug)]
struct Sleeper {
    who: usize,
    place: Place,
    cost: u64,
    fixed: bool,
    told: Instant,
    deadline: Option<Instant>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A limiter, and all who come to it.
pub(super) struct World {
    pub(super) limiter: Arc<dyn Part<SharedClock>>,
    pub(super) clock: MockClock,
    sleepers: Vec<Sleeper>,
    /// Who went when, and for how much, since the limits changed last.
    pub(super) went: Vec<(Instant, u64)>,
    pub(super) turned_away: Vec<(usize, RetryAfter)>,
    closed: Instant,
    came: usize,
    last: Option<usize>,
    /// Whether somebody came who cannot be moved: places that are freed before it go to newcomers.
    any_fixed: bool,
}

impl World {
    pub(super) fn new(made: Made) -> Self {
        let clock = MockClock::new();
        clock.advance(Duration::from_nanos(123_456));
        Self {
            limiter: made.limiter(&clock),
            clock,
            sleepers: Vec::new(),
            went: Vec::new(),
            turned_away: Vec::new(),
            closed: Instant::MIN,
            came: 0,
            last: None,
            any_fixed: false,
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn waiting(&self) -> u64 {
        self.sleepers.iter().map(|sleeper| sleeper.cost).sum()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.sleepers.is_empty()
    }

    pub(super) fn take(&mut self, cost: u64) -> Option<Grant> {
        let grant = self.limiter.take(KEY, cost).unwrap()?;
        self.goes(cost);
        Some(grant)
    }

    fn goes(&mut self, cost: u64) {
        assert!(self.closed <= self.now(), "nobody goes before the key is open");
        self.went.push((self.now(), cost));
    }

    pub(super) fn join(&mut self, cost: u64, timeout: Option<u64>, fixed: bool) {
        let timeout = timeout.map(Duration::from_nanos);
        let request = Request { cost, timeout, fixed, ticket: None };
        match self.limiter.reserve(KEY, request).unwrap() {
            Turn::Now(_) => self.goes(cost),
            Turn::Wait(place, wait) => {
                let (who, told) = (self.came, self.now() + wait);
                let deadline = timeout.map(|timeout| self.now() + timeout);
                let bell = Arc::default();
                self.sleepers.push(Sleeper { who, place, cost, fixed, told, deadline, bell });
                self.came += 1;
                self.any_fixed |= fixed;
                if !fixed {
                    self.lie_down(self.sleepers.len() - 1);
                }
            }
            Turn::Refused(_) => {}
        }
        self.look();
    }

    fn lie_down(&mut self, rank: usize) {
        let sleeper = &mut self.sleepers[rank];
        let waker = Waker::from(Arc::clone(&sleeper.bell));
        sleeper.told = self.limiter.arm(sleeper.place, waker).unwrap().due;
    }

    pub(super) fn leave(&mut self, back: usize) {
        let Some(rank) = self.sleepers.len().checked_sub(back + 1) else { return };
        let sleeper = self.sleepers.remove(rank);
        self.limiter.leave(sleeper.place);
        self.look();
    }

    pub(super) fn penalise(&mut self, nanos: u64) {
        let span = Duration::from_nanos(nanos);
        self.limiter.penalise(KEY, span).unwrap();
        self.closed = self.closed.max(self.now() + span);
        self.look();
    }

    /// Changes the limits, of the key or of all; counting starts over.
    pub(super) fn change(&mut self, key: bool, to: &Limits, carry: Carry) {
        self.limiter.change(key.then_some(KEY), to, carry).unwrap().unwrap();
        self.went.clear();
        self.look();
    }

    pub(super) fn unconfigure(&mut self, carry: Carry) {
        self.limiter.unconfigure(KEY, carry).unwrap();
        self.went.clear();
        self.look();
    }

    pub(super) fn reset(&mut self) {
        self.limiter.reset(KEY).unwrap();
        (self.closed, self.went) = (Instant::MIN, Vec::new());
        self.look();
    }

    /// Lets all look who have been woken, until nobody is.
    pub(super) fn look(&mut self) {
        while let Some(rank) =
            self.sleepers.iter().position(|sleeper| sleeper.bell.0.swap(false, Ordering::Relaxed))
        {
            self.wakes(rank);
        }
        // The first in line sleeps no longer than it has to.
        if let Some(first) = self.sleepers.first_mut().filter(|_| !self.any_fixed)
            && let Err(pending) = self.limiter.claim(first.place, None).unwrap()
        {
            assert!(first.told <= pending.due, "{first:?} oversleeps: {pending:?}");
            first.told = pending.due;
            if let Some(refused) = pending.refused {
                self.is_turned_away(0, refused);
                // Those behind it have moved up.
                self.look();
            }
        }
    }

    /// One hears that it will not go, no later than it would wait.
    fn is_turned_away(&mut self, rank: usize, refused: RetryAfter) {
        let sleeper = self.sleepers.remove(rank);
        assert!(sleeper.deadline.is_none_or(|deadline| self.now() <= deadline));
        self.turned_away.push((sleeper.who, refused));
    }

    fn wakes(&mut self, rank: usize) {
        let Sleeper { place, fixed, .. } = self.sleepers[rank];
        let answer = match fixed {
            true => self.limiter.arrived(place),
            false => self.limiter.claim(place, None).unwrap(),
        };
        match answer {
            Ok(_) => {
                let sleeper = self.sleepers.remove(rank);
                assert!(sleeper.deadline.is_none_or(|deadline| self.now() <= deadline));
                self.goes(sleeper.cost);
                if !self.any_fixed {
                    assert!(self.last.is_none_or(|last| last < sleeper.who), "out of order");
                }
                self.last = self.last.max(Some(sleeper.who));
            }
            Err(Pending { refused: Some(refused), .. }) => {
                self.is_turned_away(rank, refused);
            }
            Err(pending) if fixed => self.sleepers[rank].told = self.now() + pending.wait,
            Err(_) => self.lie_down(rank),
        }
    }

    /// Lets time pass; each wakes when it was told to.
    pub(super) fn pass(&mut self, nanos: u64) {
        let until = self.now() + Duration::from_nanos(nanos);
        loop {
            self.look();
            let told = |rank: &usize| self.sleepers[*rank].told;
            let Some(next) = (0..self.sleepers.len()).min_by_key(told) else { break };
            if told(&next) > until {
                break;
            }
            self.move_to(told(&next));
            self.wakes(next);
        }
        self.move_to(until);
        self.look();
    }

    pub(super) fn move_to(&self, at: Instant) {
        self.clock.advance(at.saturating_duration_since(self.now()));
    }

    /// Lets all go who wait; nobody is left behind.
    pub(super) fn finish(&mut self) {
        for _ in 0..200 {
            if self.is_idle() {
                return;
            }
            self.pass(10_000_000);
        }
        panic!("{:?} wait for ever", self.sleepers);
    }

    /// Returns a window in which more went than the limiter says.
    pub(super) fn broken_bound(&self) -> Option<String> {
        let went = &self.went;
        (0..went.len()).find_map(|first| {
            let (begin, mut permits) = (went[first].0, 0);
            went[first..].iter().find_map(|(end, cost)| {
                permits += cost;
                let window = end.saturating_duration_since(begin);
                let bound = self.limiter.bound_of(KEY, window).unwrap();
                (permits > bound).then(|| format!("{permits} from {begin:?} to {end:?}: {bound}"))
            })
        })
    }
}
