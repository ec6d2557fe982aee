//! When to stop calling what keeps failing: closed, open, half-open.

mod counts;
mod growth;
mod moves;
mod probes;
mod ramp;
mod rules;
mod saved;
mod settings;
mod state;
mod tally;
mod window;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use self::counts::Counts;
use self::probes::{Probes, Report};
use self::ramp::Course;
pub use self::rules::{ConsecutiveFailures, FailureRate, SlowCallRate, TripRule};
pub use self::settings::{BreakerOptions, BreakerSettings};
pub use self::state::{BreakerMode, CircuitState, MoveReason, Permit};
use self::tally::Tally;
use crate::outcome::Outcome;
use crate::refusal::{CircuitBreakerOpen, OpenReason, Stood};
use crate::time::Instant;

/// The state machine of a circuit breaker. It has no clock and no lock: `now` is an argument.
///
/// The half-open state begins by itself when the circuit has been open for long enough, so each
/// method that changes something first moves the machine to the state of `now`.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: Arc<BreakerSettings>,
    mode: BreakerMode,
    state: State,
    /// Counts transitions and probes, and so numbers the permits.
    number: u64,
    tally: Tally,
    /// How often it has opened since it last recovered.
    trips: u32,
    /// How long it stays open the next time. Drawn in advance: so those who are refused while
    /// half-open can be told when it admits should the time for that run out.
    next_span: Duration,
    /// How many failures in a row there were when it last opened from the closed state.
    failures: u32,
    /// How it stands, for those it refuses: put right as it opens.
    stood: Stood,
    /// Transitions that nobody was told of yet, in their order.
    moves: Vec<Transition>,
    pub(crate) counts: Counts,
}

/// From which state to which, and why.
pub(crate) type Transition = (CircuitState, CircuitState, MoveReason);

#[derive(Clone, Debug)]
enum State {
    Closed,
    /// Recovered, and taking its calls on again. Permits are those of the closed state it becomes.
    Ramp(Course),
    Open {
        until: Instant,
        span: Duration,
    },
    HalfOpen {
        successes: u32,
        probes: Probes,
        /// When it opens again, once a probe was let out.
        expires: Option<Instant>,
    },
}

impl State {
    fn word(&self) -> CircuitState {
        match self {
            Self::Closed => CircuitState::Closed,
            Self::Open { .. } => CircuitState::Open,
            Self::Ramp(_) | Self::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }
}

impl Breaker {
    pub(crate) fn new(settings: Arc<BreakerSettings>) -> Self {
        let (tally, next_span) = (Tally::new(&settings), settings.growth.span(1));
        let (mode, state) = (BreakerMode::default(), State::Closed);
        let (number, trips, failures) = (0, 0, 0);
        let (moves, counts) = (Vec::new(), Counts::default());
        let stood = Stood::new(OpenReason::Open, 0, 0);
        Self {
            settings,
            mode,
            state,
            number,
            tally,
            trips,
            next_span,
            failures,
            stood,
            moves,
            counts,
        }
    }

    /// Returns the number of the permit that calls share if the circuit is closed, and whether a
    /// success would change nothing.
    pub(crate) fn closed(&self) -> Option<(u64, bool)> {
        match (&self.state, self.mode) {
            (_, BreakerMode::ForcedOpen) => None,
            (_, BreakerMode::Disabled) => Some((self.number, true)),
            (State::Closed, _) => Some((self.number, self.tally.needs_no_success())),
            (State::Ramp(_) | State::Open { .. } | State::HalfOpen { .. }, _) => None,
        }
    }

    pub(crate) fn mode(&self) -> BreakerMode {
        self.mode
    }

    /// Returns the state at `now`, whoever asks first.
    pub(crate) fn state(&mut self, now: Instant) -> CircuitState {
        self.settle(now);
        self.word()
    }

    /// Returns until when it is open, for how long in all, and how it stands, if all who come
    /// meanwhile are refused.
    #[inline]
    pub(crate) fn open_until(&self) -> Option<(Instant, Duration, Stood)> {
        match self.state {
            State::Open { until, span } if self.mode == BreakerMode::Enforce => {
                Some((until, span, self.stood))
            }
            _ => None,
        }
    }

    /// Returns how often it has moved, and lent a permit of its own.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Lends a permit, or refuses until the circuit half-opens or the oldest probe lapses.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Permit, CircuitBreakerOpen> {
        self.admit_as(now, Report::ByPermit)
    }

    /// As [`admit`](Self::admit), for a caller who reports without showing a permit.
    pub(crate) fn allow(&mut self, now: Instant) -> Result<Permit, CircuitBreakerOpen> {
        let lent = self.admit_as(now, Report::Bare);
        if let (Err(_), BreakerMode::Shadow, State::HalfOpen { probes, .. }) =
            (&lent, self.mode, &mut self.state)
        {
            // It is let through all the same, and its report is one too many.
            probes.expect_one_too_many();
        }
        lent
    }

    /// Returns the permit if it is still good, and otherwise asks for another.
    pub(crate) fn renew(
        &mut self,
        permit: Permit,
        now: Instant,
    ) -> Result<Permit, CircuitBreakerOpen> {
        if self.is_good(permit, now) { Ok(permit) } else { self.admit(now) }
    }

    /// Hears how a call under this permit went, and returns whether it counts. A permit of an
    /// earlier state, or one that has lapsed, does not.
    pub(crate) fn record(
        &mut self,
        permit: Permit,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
    ) -> bool {
        let counts = self.is_good(permit, now);
        if counts {
            self.give_back(permit);
            self.count(outcome, took, now);
        } else {
            self.count_late();
        }
        counts
    }

    /// Hears how a call went whose caller shows no permit, and returns whether it counts.
    ///
    /// It is taken for the oldest call that [`allow`](Self::allow) let through and that has not
    /// lapsed. If there are only lapsed ones it is the late result of one of those. If there are
    /// none it counts towards the present state.
    pub(crate) fn record_bare(
        &mut self,
        outcome: Outcome,
        took: Option<Duration>,
        now: Instant,
    ) -> bool {
        self.settle(now);
        let counts = match (self.mode, &mut self.state) {
            (BreakerMode::Disabled | BreakerMode::ForcedOpen, _) | (_, State::Open { .. }) => false,
            (_, State::Closed | State::Ramp(_)) => true,
            (_, State::HalfOpen { probes, .. }) => probes.take_report_of_anybody(),
        };
        if counts {
            self.count(outcome, took, now);
        } else {
            self.count_late();
        }
        counts
    }

    fn count_late(&mut self) {
        self.counts.late += u64::from(self.mode != BreakerMode::Disabled);
    }

    /// Takes a permit back whose call has ended as neither success nor failure.
    pub(crate) fn ignore(&mut self, permit: Permit) {
        self.counts.ignored += 1;
        self.give_back(permit);
    }

    /// Takes a permit back whose call counts as neither success nor failure.
    pub(crate) fn give_back(&mut self, permit: Permit) {
        if let State::HalfOpen { probes, .. } = &mut self.state {
            probes.remove(permit.number());
        }
    }

    /// Returns whether nothing is remembered at `now` that a breaker just made would not have.
    pub(crate) fn is_new(&mut self, now: Instant) -> bool {
        self.settle(now);
        let is_closed = matches!(self.state, State::Closed);
        is_closed && self.mode == BreakerMode::Enforce && self.tally.is_new(now)
    }

    /// Returns whether there are transitions that nobody was told of yet.
    pub(crate) fn has_moved(&self) -> bool {
        !self.moves.is_empty()
    }

    /// Hands out the transitions that nobody was told of yet.
    pub(crate) fn take_moves(&mut self) -> Vec<Transition> {
        std::mem::take(&mut self.moves)
    }

    /// Returns the furthest deadline, if no reading up to `now` can have set it: either `now` was
    /// read long before it is used here, or the clock was set back.
    pub(crate) fn ahead_of(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Open { until, span } => Some(*until).filter(|until| *until > now + *span),
            State::Closed => self.tally.ahead_of(now),
            State::Ramp(course) => {
                self.tally.ahead_of(now).max((course.since > now).then_some(course.since))
            }
            State::HalfOpen { probes, expires, .. } => {
                let lapse = probes.last_lapse().filter(|lapse| *lapse > self.lapse(now));
                let timeout = self.settings.half_open_timeout.unwrap_or_default();
                lapse.max(expires.filter(|expires| *expires > now + timeout))
            }
        }
    }

    fn is_good(&mut self, permit: Permit, now: Instant) -> bool {
        self.settle(now);
        match &self.state {
            State::Closed | State::Ramp(_) => {
                permit.number() == self.number
                    && matches!(self.mode, BreakerMode::Enforce | BreakerMode::Shadow)
            }
            State::Open { .. } => false,
            State::HalfOpen { probes, .. } => probes.has(permit.number()),
        }
    }

    fn admit_as(&mut self, now: Instant, report: Report) -> Result<Permit, CircuitBreakerOpen> {
        let lent = self.lend(now, report);
        match (&lent, self.mode) {
            (Ok(_), _) => {}
            (Err(_), BreakerMode::Shadow) => self.counts.shadowed += 1,
            (Err(_), _) => self.counts.refused += 1,
        }
        lent
    }

    fn lend(&mut self, now: Instant, report: Report) -> Result<Permit, CircuitBreakerOpen> {
        self.settle(now);
        if self.mode == BreakerMode::ForcedOpen {
            return Err(self.refusal(CircuitBreakerOpen::forced(), OpenReason::Forced));
        }
        let lapses_at = self.lapse(now);
        let (refused_until, reason) = match &mut self.state {
            State::Closed => return Ok(Permit::numbered(self.number)),
            State::Open { until, .. } => (*until, OpenReason::Open),
            State::Ramp(course) => {
                let ramp = self.settings.ramp.as_ref().expect("only with a ramp it is on one");
                if course.admits(now, ramp) {
                    return Ok(Permit::numbered(self.number));
                }
                (course.end(ramp), OpenReason::Ramp)
            }
            State::HalfOpen { probes, expires, .. } => {
                let Some(lapse) = probes.first_lapse_if(self.settings.successes) else {
                    self.number += 1;
                    self.counts.probes += 1;
                    probes.lend(self.number, report, lapses_at);
                    if let Some(timeout) = self.settings.half_open_timeout {
                        expires.get_or_insert(now + timeout);
                    }
                    return Ok(Permit::numbered(self.number));
                };
                // Should it open again before, it is open for a time that is known already.
                let until = match *expires {
                    Some(expires) if expires <= lapse => expires + self.next_span,
                    _ => lapse,
                };
                (until, OpenReason::Probing)
            }
        };
        let refusal = CircuitBreakerOpen::new(refused_until.saturating_duration_since(now));
        Err(self.refusal(refusal, reason))
    }

    /// Returns a refusal with how it stands.
    fn refusal(&self, refusal: CircuitBreakerOpen, reason: OpenReason) -> CircuitBreakerOpen {
        refusal.standing(self.stood.because(reason))
    }

    fn count(&mut self, outcome: Outcome, took: Option<Duration>, now: Instant) {
        match outcome {
            Outcome::Success => self.counts.successes += 1,
            Outcome::Failure => self.counts.failures += 1,
        }
        match &mut self.state {
            State::Closed | State::Ramp(_) => {
                if let Some(rule) = self.tally.hear(&self.settings, outcome, took, now) {
                    self.open(now, rule);
                }
            }
            State::HalfOpen { successes, .. } => {
                if outcome == Outcome::Failure {
                    return self.open(now, MoveReason::ProbeFailed);
                }
                if self.settings.is_slow(took) {
                    return self.open(now, MoveReason::ProbeSlow);
                }
                *successes += 1;
                if *successes >= self.settings.successes {
                    self.close(now);
                }
            }
            // A call that began before it opened, and reports without showing its permit.
            State::Open { .. } => {}
        }
    }
}
