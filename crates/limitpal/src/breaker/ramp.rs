//! How a circuit takes its calls on again: a growing share of them, counted and not drawn by lot.

use std::time::Duration;

use crate::config::{InvalidConfig, positive};
use crate::time::{Instant, nanos};

/// The whole, in the parts that shares are counted in.
const WHOLE: u32 = 1_000_000;

/// Which share of the calls is admitted in which step after recovery.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ramp {
    /// In millionths.
    shares: Box<[u32]>,
    step: Duration,
}

impl Ramp {
    pub(super) fn new(shares: &[f64], step: Duration) -> Result<Self, InvalidConfig> {
        let millionths = |share: &f64| (share * f64::from(WHOLE)).round() as u32;
        let counted: Box<[u32]> = shares.iter().map(millionths).collect();
        let are_shares = counted.iter().all(|share| (1..WHOLE).contains(share));
        if !are_shares || !counted.is_sorted_by(|one, next| one < next) || shares.len() > 100 {
            let advice = "give growing shares above 0 and below 1, in millionths at finest, 100 of \
                          them at most: 0.05, 0.1, 0.25, 0.5";
            return Err(InvalidConfig::new("ramp", format_args!("{shares:?}"), advice));
        }
        positive("ramp_step", step)?;
        Ok(Self { shares: counted, step })
    }

    pub(super) fn step(&self) -> Duration {
        self.step
    }

    pub(super) fn shares(&self) -> impl Iterator<Item = f64> + '_ {
        self.shares.iter().map(|share| f64::from(*share) / f64::from(WHOLE))
    }
}

/// How far a circuit has come on its ramp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Course {
    pub(super) since: Instant,
    /// What was asked and not yet admitted, in millionths of a call.
    pub(super) credit: u32,
}

impl Course {
    pub(super) fn new(since: Instant, ramp: &Ramp) -> Self {
        // So that the first is admitted.
        Self { since, credit: WHOLE - ramp.shares[0] }
    }

    /// Returns whether all calls go through from `now` on. After a step back time goes on from
    /// there.
    pub(super) fn is_over(&mut self, now: Instant, ramp: &Ramp) -> bool {
        self.since = self.since.min(now);
        now >= self.end(ramp)
    }

    /// Returns when all calls go through.
    pub(super) fn end(&self, ramp: &Ramp) -> Instant {
        self.since + ramp.step.saturating_mul(ramp.shares.len() as u32)
    }

    /// Counts one who asks, before the end, and returns whether it is its turn: of `n` who ask in
    /// one step, `share * n` are admitted, give or take one.
    pub(super) fn admits(&mut self, now: Instant, ramp: &Ramp) -> bool {
        let passed = now.as_nanos().saturating_sub(self.since.as_nanos());
        let step = (passed / nanos(ramp.step)) as usize;
        self.credit += ramp.shares.get(step).map_or(WHOLE, |share| *share);
        let admits = self.credit >= WHOLE;
        self.credit -= if admits { WHOLE } else { 0 };
        admits
    }

    /// Returns whether a credit can be one of ours.
    pub(super) fn is_sound(self) -> bool {
        self.credit < WHOLE
    }
}
