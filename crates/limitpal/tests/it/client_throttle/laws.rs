//! What holds for every history of a throttle.

use std::time::Duration;

use limitpal::MockClock;
use proptest::prelude::*;

use super::{attempt, seeded};

const WINDOW: Duration = Duration::from_secs(60);
/// How long the shortest memory is: a slice less than the window.
const SHORTEST: Duration = Duration::from_secs(59);

/// What can happen to a throttle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Allow(u32),
    Accept,
    Reject,
    Advance(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1_u32..20).prop_map(Event::Allow),
        4 => Just(Event::Accept),
        2 => Just(Event::Reject),
        4 => (0..20_000_000_000_u64).prop_map(Event::Advance),
    ]
}

/// Events with the time of each, as a model that forgets nothing.
#[derive(Default)]
struct Log(Vec<(Duration, Event)>);

impl Log {
    /// Counts what happened less than `span` ago.
    fn count(&self, now: Duration, span: Duration, weigh: impl Fn(Event) -> u64) -> u64 {
        let recent = self.0.iter().filter(|(at, _)| now < *at + span);
        recent.map(|(_, event)| weigh(*event)).sum()
    }
}

fn requests(event: Event) -> u64 {
    if let Event::Allow(times) = event { times.into() } else { 0 }
}

fn accepts(event: Event) -> u64 {
    u64::from(event == Event::Accept)
}

proptest! {
    /// Nothing is remembered for longer than a window and nothing forgotten before 59 sixtieths of
    /// it; the probability is the formula's, of what is remembered.
    #[test]
    fn what_is_counted_is_the_last_window(
        events in prop::collection::vec(event(), 1..60),
        k in 1.01..4.0_f64,
        start in 0..60_000_000_000_u64,
    ) {
        let clock = MockClock::new();
        clock.advance(Duration::from_nanos(start));
        let throttle = seeded(&clock).k(k).window(WINDOW).build().unwrap();
        let (mut log, mut now) = (Log::default(), Duration::ZERO);
        let mut rejected = false;
        for event in events {
            match event {
                Event::Allow(times) => attempt(&throttle, times.into()),
                Event::Accept => throttle.record_accept(),
                Event::Reject => throttle.record_rejection(),
                Event::Advance(nanos) => {
                    now += Duration::from_nanos(nanos);
                    clock.advance(Duration::from_nanos(nanos));
                }
            }
            log.0.push((now, event));
            rejected |= event == Event::Reject;

            let (counted, accepted) = (throttle.requests(), throttle.accepts());
            let within = |count, weigh: fn(Event) -> u64| {
                (log.count(now, SHORTEST, weigh)..=log.count(now, WINDOW, weigh)).contains(&count)
            };
            prop_assert!(within(counted, requests), "{} requests at {:?}", counted, now);
            prop_assert!(within(accepted, accepts), "{} accepts at {:?}", accepted, now);
            let share = (counted as f64 - k * accepted as f64) / (counted as f64 + 1.0);
            let turned_away = log.count(now, SHORTEST, |event| u64::from(event == Event::Reject));
            let probability = throttle.rejection_probability();
            prop_assert!(probability == share.max(0.0) || probability == 0.0 && turned_away == 0);
            prop_assert!(probability == 0.0 || rejected);
        }
    }

    /// However many requests are out, answered or not.
    #[test]
    fn with_no_rejections_nobody_is_refused(events in prop::collection::vec(event(), 0..60)) {
        let clock = MockClock::new();
        let throttle = seeded(&clock).window(WINDOW).build().unwrap();

        for event in events {
            match event {
                Event::Allow(times) => prop_assert!((0..times).all(|_| throttle.allow())),
                Event::Accept | Event::Reject => throttle.record_accept(),
                Event::Advance(nanos) => clock.advance(Duration::from_nanos(nanos)),
            }
            prop_assert_eq!(0.0, throttle.rejection_probability());
        }
    }

    /// They are requests and nothing else, and raise the probability alone.
    #[test]
    fn own_refusals_change_no_accept(events in prop::collection::vec(event(), 0..60)) {
        let clock = MockClock::new();
        let throttle = seeded(&clock).window(WINDOW).build().unwrap();

        for event in events {
            match event {
                Event::Allow(times) => {
                    for _ in 0..times {
                        let before = (throttle.accepts(), throttle.rejection_probability());
                        let counted = throttle.requests();
                        throttle.allow();
                        prop_assert_eq!(before.0, throttle.accepts());
                        prop_assert_eq!(counted + 1, throttle.requests());
                        prop_assert!(before.1 <= throttle.rejection_probability());
                    }
                }
                Event::Accept => throttle.record_accept(),
                Event::Reject => throttle.record_rejection(),
                Event::Advance(nanos) => clock.advance(Duration::from_nanos(nanos)),
            }
        }
    }
}
