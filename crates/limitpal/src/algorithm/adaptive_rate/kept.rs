//! A rate that adapts, written down and read where another clock has another zero.

use super::course::Course;
use super::flow::Flow;
use super::meter::Meter;
use super::{Adapted, AdaptiveRate};
use crate::algorithm::saved::put_from;
use crate::algorithm::{Bytes, Saved};
use crate::time::Instant;

/// Reads an instant that was no later than now when it was written.
pub(super) fn past(from: &mut Bytes<'_>, now: Instant) -> Option<Instant> {
    let ago = from.i64().filter(|ago| *ago <= 0)?;
    Some(Instant::from_nanos(now.as_nanos().saturating_add(ago)))
}

/// Writes an instant as one that is no later than now.
pub(super) fn put_past(now: Instant, at: Instant, into: &mut Vec<u8>) {
    put_from(now, at.min(now).as_nanos(), into);
}

/// Reads a finite number of 0 or more.
pub(super) fn number(from: &mut Bytes<'_>) -> Option<f64> {
    from.u64().map(f64::from_bits).filter(|number| (0.0..f64::INFINITY).contains(number))
}

impl Saved for AdaptiveRate {
    fn numbers(&self) -> [u64; 4] {
        let settings = &self.settings;
        let [min, initial] =
            [settings.min_rate, settings.initial_rate].map(|rate| rate.as_per_second().to_bits());
        [settings.burst.into(), self.fastest, min, initial]
    }

    fn save(&self, state: &Adapted, now: Instant, into: &mut Vec<u8>) {
        state.flow.save(now, into);
        state.meter.save(now, into);
        state.course.save(now, into);
        put_past(now, state.used, into);
    }

    fn load(&self, from: &mut Bytes<'_>, now: Instant) -> Option<Adapted> {
        let behind = Flow::load_behind(from)?;
        let meter = Meter::load(from, now)?;
        let course = Course::load(from, now, &self.settings)?;
        let step = super::flow::parts_per_nano(course.rate).min(self.fastest);
        let flow = Flow::new(step, self.fastest, now).behind(behind);
        Some(Adapted { flow, meter, course, used: past(from, now)? })
    }
}
