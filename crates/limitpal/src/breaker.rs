//! When to stop calling what keeps failing: closed, open, half-open.

mod probes;

use std::fmt;
use std::time::Duration;

use self::probes::{Probes, Report};
use crate::config::{InvalidConfig, at_least_one, positive};
use crate::outcome::Outcome;
use crate::refusal::CircuitBreakerOpen;
use crate::time::Instant;

/// Whether a circuit breaker lets calls through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls go through, and consecutive failures are counted.
    Closed,
    /// Calls are refused until the recovery timeout has passed.
    Open,
    /// A few calls go through, to find out whether the other side is back.
    HalfOpen,
}

impl CircuitState {
    /// Returns the state as one word: `closed`, `open` or `half_open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a circuit breaker opens, for how long, and what closes it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    failure_threshold: u32,
    recovery_timeout: Duration,
    half_open_success_threshold: u32,
}

impl BreakerSettings {
    /// Checks and keeps the settings.
    ///
    /// # Errors
    ///
    /// A threshold of 0, no recovery timeout or one above 100 years.
    pub fn new(
        failure_threshold: u32,
        recovery_timeout: Duration,
        half_open_success_threshold: u32,
    ) -> Result<Self, InvalidConfig> {
        at_least_one("failure_threshold", failure_threshold.into())?;
        positive("recovery_timeout", recovery_timeout)?;
        at_least_one("half_open_success_threshold", half_open_success_threshold.into())?;
        Ok(Self { failure_threshold, recovery_timeout, half_open_success_threshold })
    }

    /// Returns how many failures in a row open the circuit.
    pub fn failure_threshold(&self) -> u32 {
        self.failure_threshold
    }

    /// Returns how long the circuit stays open, and how long a probe's permit lasts.
    pub fn recovery_timeout(&self) -> Duration {
        self.recovery_timeout
    }

    /// Returns how many successes close the half-open circuit, and how many probes may be out.
    pub fn half_open_success_threshold(&self) -> u32 {
        self.half_open_success_threshold
    }
}

/// The right to make one call. All calls of one stay in the closed state share theirs; each probe
/// of the half-open state has its own. No number comes twice, so a permit is good for the state
/// it was lent in and for no later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permit(u64);

impl Permit {
    /// Returns the permit that has this number.
    #[doc(hidden)]
    pub const fn numbered(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number.
    #[doc(hidden)]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// The state machine of a circuit breaker. It has no clock and no lock: `now` is an argument.
///
/// The half-open state begins by itself when the recovery timeout has passed, so each method
/// that changes something first moves the machine to the state of `now`.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Counts transitions and probes, and so numbers the permits.
    number: u64,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { successes: u32, probes: Probes },
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: State::Closed { failures: 0 }, number: 0 }
    }

    /// Returns the number of the present stay in the closed state, and the failures in a row.
    pub(crate) fn closed(&self) -> Option<(u64, u32)> {
        match self.state {
            State::Closed { failures } => Some((self.number, failures)),
            State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Returns the state at `now`, whoever asks first.
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            State::Closed { .. } => CircuitState::Closed,
            State::Open { until } if now < until => CircuitState::Open,
            State::Open { .. } | State::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Lends a permit, or refuses until the circuit half-opens or the oldest probe lapses.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Permit, CircuitBreakerOpen> {
        self.admit_as(now, Report::ByPermit)
    }

    /// As [`admit`](Self::admit), for a caller who reports without showing a permit.
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        self.admit_as(now, Report::Bare).is_ok()
    }

    /// Returns the permit if it is still good, and otherwise asks for another.
    pub(crate) fn renew(
        &mut self,
        permit: Permit,
        now: Instant,
    ) -> Result<Permit, CircuitBreakerOpen> {
        if self.is_good(permit, now) { Ok(permit) } else { self.admit(now) }
    }

    /// Hears how a call under this permit went. A permit of an earlier state, or one that has
    /// lapsed, does not count.
    pub(crate) fn record(&mut self, permit: Permit, outcome: Outcome, now: Instant) {
        if self.is_good(permit, now) {
            self.give_back(permit);
            self.count(outcome, now);
        }
    }

    /// Hears how a call went whose caller shows no permit.
    ///
    /// It is taken for the oldest call that [`allow`](Self::allow) let through and that has not
    /// lapsed. If there are only lapsed ones it is the late result of one of those. If there are
    /// none it counts towards the present state.
    pub(crate) fn record_bare(&mut self, outcome: Outcome, now: Instant) {
        self.settle(now);
        let counts = match &mut self.state {
            State::Closed { .. } | State::Open { .. } => true,
            State::HalfOpen { probes, .. } => probes.take_report_of_anybody(),
        };
        if counts {
            self.count(outcome, now);
        }
    }

    /// Takes a permit back whose call counts as neither success nor failure.
    pub(crate) fn give_back(&mut self, permit: Permit) {
        if let State::HalfOpen { probes, .. } = &mut self.state {
            probes.remove(permit.0);
        }
    }

    /// Closes the circuit and forgets all counts and permits.
    pub(crate) fn reset(&mut self) {
        self.enter(State::Closed { failures: 0 });
    }

    /// Returns the furthest deadline, if no reading up to `now` can have set it: either `now` was
    /// read long before it is used here, or the clock was set back.
    pub(crate) fn ahead_of(&self, now: Instant) -> Option<Instant> {
        let furthest = match &self.state {
            State::Closed { .. } => None,
            State::Open { until } => Some(*until),
            State::HalfOpen { probes, .. } => probes.last_lapse(),
        };
        furthest.filter(|&deadline| deadline > self.deadline(now))
    }

    fn is_good(&mut self, permit: Permit, now: Instant) -> bool {
        self.settle(now);
        match &self.state {
            State::Closed { .. } => permit.0 == self.number,
            State::Open { .. } => false,
            State::HalfOpen { probes, .. } => probes.has(permit.0),
        }
    }

    fn admit_as(&mut self, now: Instant, report: Report) -> Result<Permit, CircuitBreakerOpen> {
        self.settle(now);
        let lapses_at = self.deadline(now);
        let refused_until = match &mut self.state {
            State::Closed { .. } => return Ok(Permit(self.number)),
            State::Open { until } => *until,
            State::HalfOpen { probes, .. } => {
                let Some(lapse) = probes.first_lapse_if(self.settings.half_open_success_threshold)
                else {
                    self.number += 1;
                    probes.lend(self.number, report, lapses_at);
                    return Ok(Permit(self.number));
                };
                lapse
            }
        };
        Err(CircuitBreakerOpen::new(refused_until.saturating_duration_since(now)))
    }

    fn count(&mut self, outcome: Outcome, now: Instant) {
        let open = State::Open { until: self.deadline(now) };
        match (&mut self.state, outcome) {
            (State::Closed { failures }, Outcome::Success) => *failures = 0,
            (State::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= self.settings.failure_threshold {
                    self.enter(open);
                }
            }
            (State::HalfOpen { successes, .. }, Outcome::Success) => {
                *successes += 1;
                if *successes >= self.settings.half_open_success_threshold {
                    self.enter(State::Closed { failures: 0 });
                }
            }
            (State::HalfOpen { .. }, Outcome::Failure) => self.enter(open),
            // A call that began before it opened, and reports without showing its permit.
            (State::Open { .. }, _) => {}
        }
    }

    /// Moves to the state of `now`: an open circuit half-opens, and probes lapse. A deadline
    /// further off than one timeout was set before the clock was set back, and comes nearer.
    fn settle(&mut self, now: Instant) {
        let furthest = self.deadline(now);
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { until } if now < *until => *until = furthest.min(*until),
            State::Open { .. } => {
                self.enter(State::HalfOpen { successes: 0, probes: Probes::default() });
            }
            State::HalfOpen { probes, .. } => probes.settle(now, furthest),
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.number += 1;
    }

    /// Returns when something that begins at `now` ends.
    fn deadline(&self, now: Instant) -> Instant {
        now + self.settings.recovery_timeout
    }
}
