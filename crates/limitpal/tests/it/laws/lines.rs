//! Those who wait: in order, none lost, never more than the rate.

use std::time::Duration;

use limitpal::{
    AnyLimiter, Clock, Cost, Instant, MockClock, RateLimitExceeded, SharedClock, Sleep,
};
use proptest::prelude::*;
use std::sync::Arc;

use super::{bucket_on, cases, pass, thousandths};
use crate::conformance::tasks::Tasks;
use crate::models::{ExactRate, Kind, NaiveLine, Settings, settings, span};

type Answer = Result<(), RateLimitExceeded>;

/// A user's own clock: its sleepers cannot be moved.
#[derive(Debug)]
struct Unmovable(MockClock);

impl Clock for Unmovable {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn sleep_blocking(&self, span: Duration) {
        self.0.sleep_blocking(span);
    }

    fn sleep(&self, span: Duration) -> Sleep {
        self.0.sleep(span)
    }
}

fn unmovable(clock: &MockClock) -> SharedClock {
    let own: Arc<dyn Clock> = Arc::new(Unmovable(clock.clone()));
    own.into()
}

/// Futures that wait for one key, numbered as they came.
struct Crowd {
    clock: MockClock,
    limiter: AnyLimiter,
    tasks: Tasks<Answer>,
    granted: Vec<(usize, i64)>,
    refused: Vec<(usize, RateLimitExceeded)>,
}

impl Crowd {
    fn new(clock: MockClock, limiter: AnyLimiter) -> Self {
        let (granted, refused) = (Vec::new(), Vec::new());
        Self { clock, limiter, tasks: Tasks::new(), granted, refused }
    }

    fn join(&mut self, who: usize, cost: u64, timeout: Duration) {
        let (limiter, cost) = (self.limiter.clone(), Cost::new(cost).unwrap());
        let wait = async move { limiter.acquire_timeout(("k", cost), timeout).await };
        self.tasks.spawn(&who.to_string(), wait);
        self.pass(Duration::ZERO);
    }

    fn leave(&mut self, who: usize) -> bool {
        let left = self.tasks.cancel(&who.to_string());
        self.pass(Duration::ZERO);
        left
    }

    fn pass(&mut self, span: Duration) {
        let Self { clock, tasks, granted, refused, .. } = self;
        tasks.pass(clock, clock.now() + span, |who, answer| {
            let who = who.parse().unwrap();
            match answer {
                Ok(()) => granted.push((who, clock.now().as_nanos())),
                Err(refusal) => refused.push((who, refusal)),
            }
        });
    }

    /// Lets time pass until nobody waits.
    fn finish(&mut self) {
        while let Some(deadline) = self.clock.next_deadline() {
            self.pass(deadline);
        }
        assert!(self.tasks.unfinished().is_empty(), "{:?} wait for ever", self.tasks.unfinished());
    }
}

/// What happens to a line.
#[derive(Clone, Debug)]
enum Event {
    Pass(i64, i64),
    Join(u64, i64),
    /// One of those who came leaves, counted from the last.
    Leave(usize),
    /// Somebody asks without waiting; a line lets nobody past.
    Allow,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => (0_i64..2500, -1_i64..2).prop_map(|(parts, nanos)| Event::Pass(parts, nanos)),
        5 => (prop_oneof![3 => Just(1_u64), 1 => 1_u64..5], 0_i64..30_000)
            .prop_map(|(cost, timeout)| Event::Join(cost, timeout)),
        2 => (0_usize..8).prop_map(Event::Leave),
        1 => Just(Event::Allow),
    ];
    proptest::collection::vec(event, 1..60)
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn those_who_wait_go_when_the_naive_line_says(settings in settings(), events in events()) {
        let clock = MockClock::new();
        let mut crowd = Crowd::new(clock.clone(), bucket_on(settings, &clock));
        let mut line = NaiveLine::new(settings, 0);
        let (mut refused, mut came) = (Vec::new(), 0_usize);

        for event in events {
            match event {
                Event::Pass(parts, nanos) => {
                    let span = pass(&settings, parts, nanos);
                    crowd.pass(span);
                    line.pass(clock.now().as_nanos());
                }
                Event::Join(cost, parts) => {
                    let cost = cost.min(settings.capacity.into());
                    let timeout = thousandths(&settings, parts);
                    crowd.join(came, cost, span(timeout));
                    refused.extend(line.join(came, cost, timeout).err().map(|wait| (came, wait)));
                    came += 1;
                }
                Event::Leave(back) => {
                    let Some(who) = came.checked_sub(back + 1) else { continue };
                    prop_assert_eq!(line.leave(who), crowd.leave(who));
                }
                // A leaky bucket paces those who wait, and lets in who fits.
                Event::Allow if settings.kind == Kind::Leaky => {}
                Event::Allow => {
                    if !crowd.tasks.unfinished().is_empty() {
                        prop_assert!(!crowd.limiter.allow("k"), "past {:?}", crowd.tasks.unfinished());
                    }
                }
            }
        }
        crowd.finish();

        prop_assert_eq!(line.granted(), crowd.granted);
        let shown = |wait: &i64| limitpal::RetryAfter::After(span(*wait));
        let refused: Vec<_> = refused.iter().map(|(who, wait)| (*who, shown(wait))).collect();
        let saw: Vec<_> = crowd.refused.iter().map(|(who, no)| (*who, no.retry_after())).collect();
        prop_assert_eq!(refused, saw);
    }

    #[test]
    fn cancelled_places_never_break_the_bound(
        settings in settings(),
        events in events(),
        fixed in any::<bool>(),
    ) {
        let clock = MockClock::new();
        let shared = if fixed { unmovable(&clock) } else { clock.clone().into() };
        let mut crowd = Crowd::new(clock.clone(), bucket_on(settings, shared));
        let (mut costs, mut allowed) = (Vec::new(), Vec::new());

        for event in events {
            match event {
                Event::Pass(parts, nanos) => crowd.pass(pass(&settings, parts, nanos)),
                Event::Join(cost, parts) => {
                    let cost = cost.min(settings.capacity.into());
                    crowd.join(costs.len(), cost, span(thousandths(&settings, parts)));
                    costs.push(cost);
                }
                Event::Leave(back) => {
                    if let Some(who) = costs.len().checked_sub(back + 1) {
                        crowd.leave(who);
                    }
                }
                Event::Allow => {
                    allowed.extend(crowd.limiter.allow("k").then(|| (clock.now().as_nanos(), 1)));
                }
            }
        }
        crowd.finish();

        let mut grants: Vec<_> = crowd.granted.iter().map(|(who, at)| (*at, costs[*who])).collect();
        grants.extend(allowed);
        grants.sort_unstable();
        prop_assert!(settings.is_within_bound(&grants), "{grants:?}");
    }
}

/// The share of the rate that was granted, with many coming and 30 % of them leaving again.
fn granted_share(settings: Settings, fixed: bool, seed: u64) -> f64 {
    const ARRIVALS: usize = 3000;
    let clock = MockClock::new();
    let shared = if fixed { unmovable(&clock) } else { clock.clone().into() };
    let mut crowd = Crowd::new(clock.clone(), bucket_on(settings, shared));
    let mut random = fastrand::Rng::with_seed(seed);
    let patience = span(thousandths(&settings, 30_000));
    let (mut leaving, mut came) = (Vec::<(i64, usize)>::new(), 0);
    let pause = thousandths(&settings, 2000) / 3;

    while came < ARRIVALS {
        // Load 1.5: one comes in two thirds of an interval on average.
        let next = clock.now().as_nanos() + random.i64(0..=2 * pause);
        leaving.sort_unstable();
        while leaving.first().is_some_and(|(at, _)| *at <= next) {
            let (at, who) = leaving.remove(0);
            crowd.pass(span(at - clock.now().as_nanos()));
            crowd.leave(who);
        }
        crowd.pass(span(next - clock.now().as_nanos()));
        crowd.join(came, 1, patience);
        let waits = crowd.tasks.unfinished().last() == Some(&&*came.to_string());
        if waits && random.f64() < 0.3 {
            let line = thousandths(&settings, 1000) * crowd.tasks.unfinished().len() as i64;
            leaving.push((next + random.i64(0..=line), came));
        }
        came += 1;
    }

    let end = clock.now().as_nanos();
    let grants: Vec<_> = crowd.granted.iter().map(|(_, at)| (*at, 1)).collect();
    assert!(settings.is_within_bound(&grants), "seed {seed}: more than the rate");
    let mut order: Vec<_> = crowd.granted.clone();
    order.sort_by_key(|(_, at)| *at);
    if !fixed {
        assert!(order.is_sorted_by_key(|(who, _)| *who), "seed {seed}: out of order");
    }
    let due = i128::from(end) * settings.rate.count / settings.rate.nanos;
    grants.len() as f64 / due as f64
}

#[test]
fn with_three_in_ten_leaving_nearly_all_of_the_rate_is_granted() {
    let rate = ExactRate::new(7.0, 7, 1);
    for (kind, capacity) in [(Kind::Token, 1), (Kind::Token, 5), (Kind::Leaky, 5)] {
        for seed in 1..4 {
            let share = granted_share(Settings { kind, capacity, rate }, false, seed);

            assert!(share >= 0.95, "{kind:?} {capacity}, seed {seed}: {share}");
        }
    }
}

#[test]
fn with_three_in_ten_leaving_a_clock_that_moves_nobody_still_grants_nearly_all() {
    let rate = ExactRate::new(7.0, 7, 1);
    for (kind, capacity) in [(Kind::Token, 1), (Kind::Token, 5), (Kind::Leaky, 5)] {
        for seed in 1..4 {
            let share = granted_share(Settings { kind, capacity, rate }, true, seed);

            assert!(share >= 0.95, "{kind:?} {capacity}, seed {seed}: {share}");
        }
    }
}
