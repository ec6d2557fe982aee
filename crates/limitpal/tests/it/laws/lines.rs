//! Those who wait: in order, none lost, never more than the rate.

use std::time::Duration;

use limitpal::{
    AnyLimiter, Clock, CompositeLimiter, Cost, Instant, MockClock, RateLimitExceeded, SharedClock,
    Sleep,
};
use proptest::prelude::*;
use std::sync::Arc;

use super::{bucket_on, cases, pass, thousandths};
use crate::conformance::tasks::Tasks;
use crate::models::{Kind, NaiveLine, settings, span};

type Answer = Result<(), RateLimitExceeded>;

/// A user's own clock.
#[derive(Debug)]
struct Own(MockClock);

impl Clock for Own {
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

/// Returns a clock of ours, or the same as one of the user's.
fn shared(clock: &MockClock, own: bool) -> SharedClock {
    let hidden: Arc<dyn Clock> = Arc::new(Own(clock.clone()));
    if own { hidden.into() } else { clock.into() }
}

/// Futures that wait for one key, numbered as they came.
pub(super) struct Crowd {
    clock: MockClock,
    limiter: AnyLimiter,
    pub(super) tasks: Tasks<Answer>,
    pub(super) granted: Vec<(usize, i64)>,
    refused: Vec<(usize, RateLimitExceeded)>,
}

impl Crowd {
    pub(super) fn new(clock: MockClock, limiter: AnyLimiter) -> Self {
        let (granted, refused) = (Vec::new(), Vec::new());
        Self { clock, limiter, tasks: Tasks::new(), granted, refused }
    }

    pub(super) fn join(&mut self, who: usize, cost: u64, timeout: Duration) {
        let (limiter, cost) = (self.limiter.clone(), Cost::new(cost).unwrap());
        let wait = async move { limiter.acquire_timeout(("k", cost), timeout).await };
        self.tasks.spawn(&who.to_string(), wait);
        self.pass(Duration::ZERO);
    }

    pub(super) fn leave(&mut self, who: usize) -> bool {
        let left = self.tasks.cancel(&who.to_string());
        self.pass(Duration::ZERO);
        left
    }

    pub(super) fn pass(&mut self, span: Duration) {
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
        let mut deadlines = 0;
        while let Some(deadline) = self.clock.next_deadline() {
            self.pass(deadline);
            deadlines += 1;
            assert!(deadlines < 10_000, "{:?} wait for ever", self.tasks.unfinished());
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
    fn those_who_wait_go_when_the_naive_line_says(
        settings in settings(),
        events in events(),
        own in any::<bool>(),
    ) {
        let clock = MockClock::new();
        let mut crowd = Crowd::new(clock.clone(), bucket_on(settings, shared(&clock, own)));
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
                    let cost = cost.min(settings.most());
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
        own in any::<bool>(),
    ) {
        let clock = MockClock::new();
        let mut crowd = Crowd::new(clock.clone(), bucket_on(settings, shared(&clock, own)));
        let (mut costs, mut allowed) = (Vec::new(), Vec::new());

        for event in events {
            match event {
                Event::Pass(parts, nanos) => crowd.pass(pass(&settings, parts, nanos)),
                Event::Join(cost, parts) => {
                    let cost = cost.min(settings.most());
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
        prop_assert_eq!(None, settings.broken_window(&grants));
    }
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn a_composite_keeps_the_bound_of_each_part_whoever_leaves(
        parts in proptest::collection::vec(settings(), 1..4),
        events in events(),
    ) {
        let clock = MockClock::new();
        let limiters = parts.iter().map(|part| bucket_on(*part, &clock));
        let composite = CompositeLimiter::new(limiters.collect::<Vec<_>>()).unwrap();
        let mut crowd = Crowd::new(clock.clone(), composite.clone().into());
        let (mut costs, mut allowed) = (Vec::new(), Vec::new());

        for event in events {
            match event {
                Event::Pass(parts_of, nanos) => crowd.pass(pass(&parts[0], parts_of, nanos)),
                Event::Join(cost, patience) => {
                    let most = parts.iter().map(|part| part.most()).min().unwrap();
                    let cost = cost.min(most);
                    crowd.join(costs.len(), cost, span(thousandths(&parts[0], patience)));
                    costs.push(cost);
                }
                Event::Leave(back) => {
                    if let Some(who) = costs.len().checked_sub(back + 1) {
                        crowd.leave(who);
                    }
                }
                Event::Allow => {
                    allowed.extend(composite.allow("k").then(|| (clock.now().as_nanos(), 1)));
                }
            }
        }
        crowd.finish();

        let mut grants: Vec<_> = crowd.granted.iter().map(|(who, at)| (*at, costs[*who])).collect();
        grants.extend(allowed);
        grants.sort_unstable();
        for part in parts {
            prop_assert_eq!(None, part.broken_window(&grants), "{:?}", part);
        }
    }
}
