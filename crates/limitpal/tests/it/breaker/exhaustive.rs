//! Every short history of a small breaker, with every option: time alone leads from each state to
//! one that admits, no more probes are out than may be, and no hung one holds it.

use std::convert::Infallible;
use std::time::Duration;

use limitpal::{
    BreakerCell, BreakerOptions, BreakerSettings, CircuitState, ConsecutiveFailures, FailureRate,
    Instant, Outcome, Permit, SlowCallRate,
};

use super::SECOND;

/// What can happen next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Action {
    /// Somebody asks, and holds its permit.
    Begin,
    /// The oldest call that holds one ends.
    End(Outcome),
    /// The oldest call that holds one is cancelled.
    Cancel,
    /// Somebody asks, and will report without a permit.
    Allow,
    /// Somebody reports without a permit.
    Report(Outcome),
    /// A second passes.
    Wait,
    /// As long passes as the circuit is open at first.
    Jump,
}

const ACTIONS: [Action; 9] = [
    Action::Begin,
    Action::End(Outcome::Success),
    Action::End(Outcome::Failure),
    Action::Cancel,
    Action::Allow,
    Action::Report(Outcome::Success),
    Action::Report(Outcome::Failure),
    Action::Wait,
    Action::Jump,
];

/// How long a history is; longer where there is optimisation.
const LENGTH: usize = if cfg!(debug_assertions) { 5 } else { 7 };

/// How long the circuit is open at first, and a permit lasts.
const OPEN: Duration = Duration::from_secs(3);

fn options() -> BreakerOptions {
    BreakerOptions {
        trip_on: vec![ConsecutiveFailures::new(1).into()],
        recovery_timeout: OPEN,
        ..BreakerOptions::default()
    }
}

/// A breaker, the time, and who holds a permit.
struct World {
    cell: BreakerCell,
    now: Instant,
    held: Vec<(Permit, Instant)>,
    /// Probes that were let out on a bare `allow` in this stay, with when they lapse.
    bare: Vec<Instant>,
}

impl World {
    fn after(options: &BreakerOptions, history: &[Action]) -> Self {
        let settings = BreakerSettings::checked(options.clone()).unwrap();
        let cell = BreakerCell::new(settings);
        let mut world = Self { cell, now: Instant::ZERO, held: Vec::new(), bare: Vec::new() };
        // Open to begin with: what is closed is of little interest.
        world.take(Action::Report(Outcome::Failure));
        history.iter().for_each(|action| world.take(*action));
        world
    }

    fn read(&self) -> impl Fn() -> Result<Instant, Infallible> + use<> {
        let now = self.now;
        move || Ok(now)
    }

    fn state(&self) -> CircuitState {
        let Ok(state) = self.cell.state(self.read());
        state
    }

    fn admit(&self) -> Result<Permit, Duration> {
        let Ok(lent) = self.cell.admit(self.read());
        lent.map_err(|refusal| refusal.retry_after().expect("nobody forces it open"))
    }

    fn take(&mut self, action: Action) {
        let read = self.read();
        let before = self.state();
        match action {
            Action::Begin => self.held.extend(self.admit().ok().map(|permit| (permit, self.now))),
            Action::End(outcome) if !self.held.is_empty() => {
                let (permit, began) = self.held.remove(0);
                let Ok(()) = self.cell.record_since(permit, outcome, Some(began), read);
            }
            Action::Cancel if !self.held.is_empty() => self.cell.give_back(self.held.remove(0).0),
            Action::End(_) | Action::Cancel => {}
            Action::Allow => {
                let Ok(allowed) = self.cell.allow(read);
                if allowed && before == CircuitState::HalfOpen {
                    self.bare.push(self.now + OPEN);
                }
            }
            Action::Report(outcome) => {
                let Ok(()) = self.cell.record_bare(outcome, read);
                self.bare.drain(..1.min(self.bare.len()));
            }
            Action::Wait => self.now = self.now + SECOND,
            Action::Jump => self.now = self.now + OPEN,
        }
        if self.state() != CircuitState::HalfOpen {
            self.bare.clear();
        }
    }

    /// Returns how many permits are out that are still good.
    fn out(&self) -> usize {
        let now = self.now;
        let is_good = |permit| {
            let Ok(renewed) = self.cell.renew(permit, self.read());
            // One who gets another has lost its own; the other goes back.
            renewed.ok().inspect(|new| {
                if *new != permit {
                    self.cell.give_back(*new)
                }
            }) == Some(permit)
        };
        let held = self.held.iter().filter(|(permit, _)| is_good(*permit)).count();
        held + self.bare.iter().filter(|lapse| **lapse > now).count()
    }
}

/// Walks all histories, and has `check` look at the end of each.
fn explore(options: &BreakerOptions, check: impl Fn(&mut World, &[Action])) {
    let mut history = Vec::new();
    walk(options, &mut history, &check);
}

fn walk(
    options: &BreakerOptions,
    history: &mut Vec<Action>,
    check: &impl Fn(&mut World, &[Action]),
) {
    check(&mut World::after(options, history), history);
    if history.len() == LENGTH {
        return;
    }
    for action in ACTIONS {
        history.push(action);
        walk(options, history, check);
        history.pop();
    }
}

/// Whoever is refused now is admitted at `retry_after`, if nothing but time happens.
fn time_alone_admits(world: &mut World, history: &[Action]) {
    let Err(wait) = world.admit() else { return };
    assert!(wait > Duration::ZERO, "{history:?}");
    world.now = world.now + wait;
    assert!(world.admit().is_ok(), "not at retry_after, {wait:?}: {history:?}");
}

/// As above, and not before. It is about circuits without a ramp, which admits some earlier.
fn exactly_then(world: &mut World, history: &[Action]) {
    let Err(wait) = world.admit() else { return };
    let instant = Duration::from_nanos(1);
    world.now = world.now + (wait - instant);
    assert_eq!(Err(instant), world.admit(), "{history:?}");
    world.now = world.now + instant;
    assert!(world.admit().is_ok(), "{history:?}");
}

#[test]
fn with_one_probe() {
    explore(&options(), |world, history| {
        if world.state() == CircuitState::HalfOpen {
            assert!(world.out() <= 1, "{history:?}");
        }
        exactly_then(world, history);
    });
}

#[test]
fn with_two_probes_and_a_longest_time_in_half_open() {
    let options = BreakerOptions {
        half_open_success_threshold: 2,
        half_open_timeout: Some(2 * SECOND),
        recovery_backoff: 2.0,
        max_recovery_timeout: Some(5 * SECOND),
        ..options()
    };
    explore(&options, |world, history| {
        if world.state() == CircuitState::HalfOpen {
            assert!(world.out() <= 2, "{history:?}");
        }
        exactly_then(world, history);
    });
}

#[test]
fn with_a_longest_time_in_half_open_beyond_the_permits_and_jitter() {
    let options = BreakerOptions {
        half_open_timeout: Some(4 * SECOND),
        recovery_backoff: 1.5,
        recovery_jitter: 0.5,
        seed: Some(7),
        ..options()
    };
    explore(&options, exactly_then);
}

#[test]
fn with_a_ramp() {
    let options = BreakerOptions {
        ramp: vec![0.3, 0.6],
        ramp_step: Some(2 * SECOND),
        half_open_timeout: Some(2 * SECOND),
        ..options()
    };
    explore(&options, time_alone_admits);
}

#[test]
fn with_rates() {
    let options = BreakerOptions {
        trip_on: vec![
            FailureRate::new(0.5).calls(2).minimum_calls(1).into(),
            FailureRate::new(1.0).window(4 * SECOND).minimum_calls(2).into(),
            SlowCallRate::new(0.5, SECOND).calls(3).minimum_calls(2).into(),
        ],
        half_open_success_threshold: 2,
        ..options()
    };
    explore(&options, exactly_then);
}

#[test]
fn a_hung_probe_holds_no_place_for_longer_than_its_lease() {
    for half_open_timeout in [None, Some(2 * SECOND), Some(9 * SECOND)] {
        let options = BreakerOptions { half_open_timeout, ..options() };
        explore(&options, |world, history| {
            // Whoever is out now hangs for ever; the longest it can take is all of these.
            let most = OPEN * 4 + half_open_timeout.unwrap_or_default();
            world.now = world.now + most;
            let state = world.state();
            assert_ne!(CircuitState::Open, state, "{history:?}");
            assert!(world.admit().is_ok(), "{history:?}");
        });
    }
}
