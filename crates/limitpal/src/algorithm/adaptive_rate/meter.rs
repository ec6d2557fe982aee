//! How many permits go a second: counted for half a second at a time, and averaged.

use super::kept::{number, past, put_past};
use crate::algorithm::Bytes;
use crate::time::Instant;

/// How long is counted at a time, in nanoseconds.
const STRETCH: i64 = 500_000_000;
/// How much of a new count is taken over at once.
const SMOOTHING: f64 = 0.8;

/// What went since the last count ended, and the average until then.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Meter {
    start: i64,
    count: u64,
    /// None before the first count has ended.
    average: Option<f64>,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now.as_nanos(), count: 0, average: None }
    }

    /// Returns whether nothing was counted.
    pub(super) fn is_new(&self) -> bool {
        self.count == 0 && self.average.is_none()
    }

    /// Counts a take. A count that has lasted its half second, or several, ends before it.
    #[inline]
    pub(super) fn count(&mut self, cost: u64, at: Instant) {
        let stretches = at.as_nanos().saturating_sub(self.start) / STRETCH;
        if stretches > 0 {
            let nanos = stretches * STRETCH;
            let rate = self.count as f64 / (nanos as f64 / 1e9);
            let average = |old| SMOOTHING * rate + (1.0 - SMOOTHING) * old;
            self.average = Some(self.average.map_or(rate, average));
            self.start += nanos;
            self.count = 0;
        }
        self.count = self.count.saturating_add(cost);
    }

    /// Takes a take out again, if it is in the present count.
    pub(super) fn discount(&mut self, cost: u64, at: Instant) {
        if at.as_nanos() >= self.start {
            self.count = self.count.saturating_sub(cost);
        }
    }

    /// Returns how many go a second; before the first count has ended, as if it ended so.
    pub(super) fn measured(&self) -> f64 {
        self.average.unwrap_or(self.count as f64 / (STRETCH as f64 / 1e9))
    }

    /// Writes it, and whether there is an average yet.
    pub(super) fn save(&self, now: Instant, into: &mut Vec<u8>) {
        put_past(now, Instant::from_nanos(self.start), into);
        into.extend(self.count.to_le_bytes());
        into.push(self.average.is_some().into());
        into.extend(self.average.unwrap_or_default().to_bits().to_le_bytes());
    }

    pub(super) fn load(from: &mut Bytes<'_>, now: Instant) -> Option<Self> {
        let (start, count) = (past(from, now)?.as_nanos(), from.u64()?);
        let [has_average] = from.array()?;
        let average = number(from)?;
        let average = match has_average {
            0 => (average == 0.0).then_some(None),
            1 => Some(Some(average)),
            _ => None,
        }?;
        Some(Self { start, count, average })
    }
}
