//! A machine's state as numbers, to be read where another clock has another zero.

use std::time::Duration;

use super::probes::Probes;
use super::ramp::Course;
use super::window::{Calls, Counts, PARTS, Parts, Window};
use super::{Breaker, BreakerMode, MoveReason, State};
use crate::refusal::{OpenReason, Stood};
use crate::time::{Instant, nanos};

/// Stands for an instant that there is none of.
const NONE: i64 = i64::MIN;

/// The numbers of a state that are yet to be read.
struct Numbers<'n>(std::slice::Iter<'n, i64>);

impl Numbers<'_> {
    /// Reads one that is at least `least` and at most `most`.
    fn within(&mut self, least: i64, most: i64) -> Option<i64> {
        self.0.next().copied().filter(|number| (least..=most).contains(number))
    }

    fn count(&mut self, most: u32) -> Option<u32> {
        self.within(0, most.into()).map(|count| count as u32)
    }

    fn span(&mut self, most: Duration) -> Option<Duration> {
        self.within(1, nanos(most)).map(|span| Duration::from_nanos(span as u64))
    }
}

impl Breaker {
    /// Writes down what is remembered at `now`; instants by how far from it they are. Probes that
    /// are out end with the process.
    pub(crate) fn save(&mut self, now: Instant) -> Vec<i64> {
        self.settle(now);
        let from_now = |at: Instant| at.as_nanos().saturating_sub(now.as_nanos());
        let state = match &self.state {
            State::Closed => [0, 0, 0],
            State::Ramp(course) => [1, from_now(course.since), course.credit.into()],
            State::Open { until, span } => [2, from_now(*until), nanos(*span)],
            State::HalfOpen { successes, expires, .. } => {
                [3, expires.map_or(NONE, from_now), (*successes).into()]
            }
        };
        let mut numbers = vec![self.mode as i64, self.trips.into(), nanos(self.next_span)];
        numbers.push(self.failures.into());
        numbers.extend(state);
        numbers.push(self.tally.failures.into());
        for window in &mut self.tally.windows {
            window.counts(now);
            match window {
                Window::Calls(calls) => {
                    numbers.push(calls.total.calls.into());
                    numbers.extend(calls.each().map(i64::from));
                }
                Window::Time(parts) => parts.save(now, &mut numbers),
            }
        }
        numbers
    }

    /// Goes on from what was written down; none if no such machine wrote it, and all is as it was.
    /// Permits of before no longer count.
    pub(crate) fn load(&mut self, numbers: &[i64], now: Instant) -> Option<()> {
        let settings = self.settings.clone();
        let mut numbers = Numbers(numbers.iter());
        let modes = [
            BreakerMode::Enforce,
            BreakerMode::Shadow,
            BreakerMode::Disabled,
            BreakerMode::ForcedOpen,
        ];
        let mode = modes[numbers.within(0, 3)? as usize];
        let trips = numbers.count(u32::MAX)?;
        let next_span = numbers.span(settings.growth.most)?;
        let failures = numbers.count(u32::MAX)?;
        let at = |from_now: i64| Instant::from_nanos(now.as_nanos().saturating_add(from_now));
        let state = match numbers.within(0, 3)? {
            0 => {
                numbers.within(0, 0)?;
                numbers.within(0, 0)?;
                State::Closed
            }
            1 => {
                let since = at(numbers.within(i64::MIN + 1, 0)?);
                let course = Course { since, credit: numbers.count(u32::MAX)? };
                settings.ramp.as_ref()?;
                course.is_sound().then_some(State::Ramp(course))?
            }
            2 => {
                let left = numbers.within(1, nanos(settings.growth.most))?;
                let span = numbers.span(settings.growth.most)?;
                (left <= nanos(span)).then_some(State::Open { until: at(left), span })?
            }
            _ => {
                let timeout = settings.half_open_timeout.map_or(0, nanos);
                let expires = numbers.within(NONE, timeout)?;
                let expires = (expires != NONE).then(|| at(expires.max(0)));
                let successes = numbers.count(settings.successes - 1)?;
                State::HalfOpen { successes, probes: Probes::default(), expires }
            }
        };
        let mut tally = super::Tally::new(&settings);
        tally.failures = numbers.count(u32::MAX)?;
        for window in &mut tally.windows {
            match window {
                Window::Calls(calls) => calls.load(&mut numbers)?,
                Window::Time(parts) => parts.load(&mut numbers, now)?,
            }
        }
        numbers.0.next().is_none().then_some(())?;
        let before = self.word();
        (self.mode, self.state, self.tally) = (mode, state, tally);
        (self.trips, self.failures, self.next_span) = (trips, failures, next_span);
        self.stood = Stood::new(OpenReason::Open, trips, failures);
        self.number += 1;
        self.note(before, MoveReason::Restored);
        Some(())
    }
}

impl Calls {
    fn load(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        for _ in 0..numbers.count(self.most)? {
            self.put(numbers.within(0, 1)? == 1);
        }
        Some(())
    }
}

impl Parts {
    /// Writes how long the present part has lasted, and what each has, the oldest first.
    fn save(&self, now: Instant, numbers: &mut Vec<i64>) {
        numbers.push(if self.total.calls == 0 {
            NONE
        } else {
            now.as_nanos().saturating_sub(self.start.as_nanos())
        });
        if self.total.calls > 0 {
            for step in 1..=PARTS {
                let part = self.ring[(self.present + step) % PARTS];
                numbers.extend([i64::from(part.bad), part.calls.into()]);
            }
        }
    }

    fn load(&mut self, numbers: &mut Numbers<'_>, now: Instant) -> Option<()> {
        let lasted = numbers.within(NONE, self.length)?;
        if lasted == NONE {
            return Some(());
        }
        self.ring.clear();
        for _ in 0..PARTS {
            let bad = numbers.count(u32::MAX)?;
            let calls = numbers.count(u32::MAX)?;
            (bad <= calls).then_some(())?;
            self.ring.push(Counts { bad, calls });
            self.total.bad = self.total.bad.checked_add(bad)?;
            self.total.calls = self.total.calls.checked_add(calls)?;
        }
        self.present = PARTS - 1;
        self.start = Instant::from_nanos(now.as_nanos().saturating_sub(lasted.max(0)));
        (self.total.calls > 0).then_some(())
    }
}
