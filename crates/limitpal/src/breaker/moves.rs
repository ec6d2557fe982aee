//! How a circuit goes from one state to the next.

use super::probes::Probes;
use super::ramp::Course;
use super::{Breaker, BreakerMode, CircuitState, MoveReason, State};
use crate::refusal::{OpenReason, Stood};
use crate::time::Instant;

impl Breaker {
    /// Closes the circuit and forgets all counts and permits. The mode stays.
    pub(crate) fn reset(&mut self) {
        self.tally.clear();
        self.recover();
        self.enter(State::Closed, MoveReason::Reset);
    }

    /// Has it run in another mode. Where the old or the new one counts nothing, it begins closed
    /// and as new, and the outcomes of calls that are under way no longer count.
    pub(crate) fn set_mode(&mut self, mode: BreakerMode, now: Instant) {
        if mode == self.mode {
            return;
        }
        self.settle(now);
        let counts = |mode| matches!(mode, BreakerMode::Enforce | BreakerMode::Shadow);
        let (before, told) = (self.word(), self.moves.len());
        if !(counts(mode) && counts(self.mode)) {
            self.reset();
        }
        self.mode = mode;
        self.moves.truncate(told);
        self.note(before, MoveReason::ModeChanged);
    }

    /// Moves to the state of `now`: an open circuit half-opens, probes lapse, and so does the time
    /// for being half-open, or the ramp. A deadline further off than it can be was set before the
    /// clock was set back, and comes nearer.
    #[inline]
    pub(super) fn settle(&mut self, now: Instant) {
        match &mut self.state {
            State::Closed => {}
            State::Open { until, span } if now < *until => *until = (now + *span).min(*until),
            State::Open { .. } | State::Ramp(_) | State::HalfOpen { .. } => self.go_on(now),
        }
    }

    /// As [`settle`](Self::settle), where there may be something to do.
    fn go_on(&mut self, now: Instant) {
        loop {
            match &mut self.state {
                State::Closed => return,
                State::Open { until, .. } if now < *until => return,
                State::Open { .. } => {
                    let (successes, probes) = (0, Probes::default());
                    let state = State::HalfOpen { successes, probes, expires: None };
                    self.enter(state, MoveReason::RecoveryTimeout);
                }
                State::HalfOpen { probes, expires, .. } => {
                    let timeout = self.settings.half_open_timeout.unwrap_or_default();
                    *expires = expires.map(|expires| expires.min(now + timeout));
                    match *expires {
                        Some(expires) if expires <= now => {
                            self.open(expires, MoveReason::HalfOpenTimeout);
                        }
                        _ => {
                            let furthest = now + self.settings.growth.base;
                            return probes.settle(now, furthest);
                        }
                    }
                }
                State::Ramp(course) => {
                    let ramp = self.settings.ramp.as_ref();
                    if ramp.is_some_and(|ramp| course.is_over(now, ramp)) {
                        self.recover();
                        // The number stays, and so those count who were let through on the ramp.
                        self.go_to(State::Closed, MoveReason::RampOver);
                    }
                    return;
                }
            }
        }
    }

    pub(super) fn open(&mut self, now: Instant, why: MoveReason) {
        if matches!(self.state, State::Closed | State::Ramp(_)) {
            self.failures = self.tally.failures;
        }
        self.tally.clear();
        self.trips = self.trips.saturating_add(1);
        self.counts.trips += 1;
        self.stood = Stood::new(OpenReason::Open, self.trips, self.failures);
        let span = self.next_span;
        self.next_span = self.settings.growth.span(self.trips.saturating_add(1));
        self.enter(State::Open { until: now + span, span }, why);
    }

    /// The other side is back.
    pub(super) fn close(&mut self, now: Instant) {
        match &self.settings.ramp {
            Some(ramp) => {
                let course = Course::new(now, ramp);
                self.enter(State::Ramp(course), MoveReason::ProbesSucceeded);
            }
            None => {
                self.recover();
                self.enter(State::Closed, MoveReason::ProbesSucceeded);
            }
        }
    }

    /// Forgets how often it has opened.
    fn recover(&mut self) {
        if self.trips > 0 {
            self.trips = 0;
            self.next_span = self.settings.growth.span(1);
        }
    }

    fn enter(&mut self, state: State, why: MoveReason) {
        self.number += 1;
        self.go_to(state, why);
    }

    fn go_to(&mut self, state: State, why: MoveReason) {
        let before = self.word();
        self.state = state;
        self.note(before, why);
    }

    /// Notes that it has moved, if that can be seen.
    pub(super) fn note(&mut self, before: CircuitState, why: MoveReason) {
        let after = self.word();
        if before != after {
            self.moves.push((before, after, why));
        }
    }

    /// Returns the state as it is seen.
    pub(crate) fn word(&self) -> CircuitState {
        match self.mode {
            BreakerMode::Enforce | BreakerMode::Shadow | BreakerMode::Disabled => self.state.word(),
            BreakerMode::ForcedOpen => CircuitState::Open,
        }
    }

    /// Returns when the permit of a probe lapses that is lent at `now`.
    pub(super) fn lapse(&self, now: Instant) -> Instant {
        now + self.settings.growth.base
    }
}
