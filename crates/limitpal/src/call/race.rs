//! One attempt that several tries may make: when the next one starts, and whose outcome counts.

use std::ops::Deref;
use std::time::Duration;

use super::clocks::Clocks;
use super::plan::Plan;
use super::story::RunNumber;
use crate::budget::Charged;
use crate::time::Instant;

/// One attempt of a plan with a hedge, for whoever writes a loop of their own.
///
/// The loop starts the first try, and another whenever one is due and the race lets it; it tells
/// the race how each ends, and does what the [`Verdict`] says. To the [`Call`](crate::Call) it is
/// one attempt. It never waits. Dropped, it counts its hedges.
pub struct Race<P: Deref<Target = Plan>> {
    pub(super) plan: P,
    /// When the attempt began.
    began: Instant,
    /// How long a try may take before the next one starts; none: there is no other.
    delay: Option<Duration>,
    /// When the next try is due.
    due: Instant,
    /// No try starts at this time or later.
    until: Option<Instant>,
    /// Tries that have begun, the first included, and those that have not ended.
    tries: u32,
    under_way: u32,
    first_has_ended: bool,
    /// The try whose failure the loop keeps, and whether that is a refusal of ours.
    kept: Option<(u32, bool)>,
    won_by_hedge: bool,
    /// As which attempt of which run its hedges are told of.
    pub(super) told_as: Option<(RunNumber, u32)>,
}

/// What a try came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TryEnd {
    /// A value that is good.
    Value,
    /// A failure that another attempt may mend, or another try.
    Failure,
    /// A failure that would be the same again.
    FinalFailure,
    /// A refusal of ours that the function raised.
    Refusal,
}

/// What becomes of a try that has ended, and of its race.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// The attempt ends as this try did; the others are to be dropped.
    This,
    /// The attempt ends as the try did that was kept.
    Kept,
    /// Others are under way: keep how this one ended, in place of what was kept.
    Keep,
    /// Others are under way: forget this one.
    Forget,
}

impl<P: Deref<Target = Plan>> Race<P> {
    /// Begins an attempt, with its first try; none if the plan has no hedge. `number` is the
    /// attempt's, counted from 1. No try starts at `until` or later.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    pub fn begin<C: Clocks>(
        plan: P,
        number: u32,
        until: Option<Instant>,
        mut clocks: C,
    ) -> Result<Option<Self>, C::Error> {
        let Some(hedge) = &plan.hedge else { return Ok(None) };
        let began = clocks.run()?;
        let delay = hedge.begin(began, number == 1);
        let due = began.saturating_add(delay.unwrap_or_default());
        Ok(Some(Self {
            plan,
            began,
            delay,
            due,
            until,
            tries: 1,
            under_way: 1,
            first_has_ended: false,
            kept: None,
            won_by_hedge: false,
            told_as: None,
        }))
    }

    /// Returns when the next try is due; none if there is no other.
    pub fn due(&self) -> Option<Instant> {
        let in_time = self.until.is_none_or(|until| self.due < until);
        (self.delay.is_some() && in_time).then_some(self.due)
    }

    /// Asks for another try, which is due: the cap and the budget are charged. The loop takes
    /// quota for it then, if attempts are charged, and says `begun`, or else `give_back`. False:
    /// there is no other try.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    pub fn charge<C: Clocks>(&mut self, mut clocks: C) -> Result<Option<TryCharge>, C::Error> {
        let Some(hedge) = &self.plan.hedge else { return Ok(None) };
        let now = clocks.run()?;
        // Whoever asks late may ask too late.
        let in_time = self.until.is_none_or(|until| now < until);
        let Some(load) = in_time.then(|| hedge.charge(now)).flatten() else {
            self.delay = None;
            return Ok(None);
        };
        let mut charge = TryCharge { load, budget: None };
        let Some(budget) = &self.plan.budget else { return Ok(Some(charge)) };
        charge.budget = match budget.charge(|| clocks.budget()) {
            Ok(charged) => charged,
            Err(error) => {
                self.give_back(charge);
                return Err(error);
            }
        };
        if charge.budget.is_none() {
            self.give_back(charge);
            return Ok(None);
        }
        Ok(Some(charge))
    }

    /// There was no quota: the attempt gets no other try.
    pub fn give_back(&mut self, charge: TryCharge) {
        self.delay = None;
        if let Some(hedge) = &self.plan.hedge {
            hedge.give_back(charge.load);
        }
        if let (Some(budget), Some(charged)) = (&self.plan.budget, charge.budget) {
            budget.give_back(charged);
        }
    }

    /// Another try begins. Returns its number, counted from 0 for the first.
    pub fn begun(&mut self, now: Instant) -> u32 {
        let number = self.tries;
        self.tries += 1;
        self.under_way += 1;
        let most = self.plan.hedge.as_ref().map_or(0, |hedge| hedge.settings().max_hedges);
        self.delay = self.delay.filter(|_| number < most);
        self.due = now.saturating_add(self.delay.unwrap_or_default());
        self.tell_hedge(number);
        number
    }

    /// Hears how a try ended.
    ///
    /// # Errors
    ///
    /// What a clock fails with.
    pub fn ended<C: Clocks>(
        &mut self,
        number: u32,
        end: TryEnd,
        clocks: C,
    ) -> Result<Verdict, C::Error> {
        self.under_way -= 1;
        let first_is_under_way = !self.first_has_ended;
        self.first_has_ended |= number == 0;
        let is_refusal = end == TryEnd::Refusal;
        match end {
            TryEnd::Value => {
                self.won_by_hedge = number > 0;
                // One that loses has taken at least so long.
                if first_is_under_way {
                    self.took(clocks)?;
                }
                return Ok(Verdict::This);
            }
            TryEnd::FinalFailure => return Ok(Verdict::This),
            TryEnd::Failure | TryEnd::Refusal => {}
        }
        // A refusal says nothing where another try has an error, and the earliest try counts.
        let is_better =
            self.kept.is_none_or(|(kept, refusal)| (is_refusal, number) < (refusal, kept));
        if is_better {
            self.kept = Some((number, is_refusal));
        }
        Ok(match (self.under_way, is_better) {
            (0, true) => Verdict::This,
            (0, false) => Verdict::Kept,
            (_, true) => Verdict::Keep,
            (_, false) => Verdict::Forget,
        })
    }

    /// Returns how many tries have begun.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    fn took<C: Clocks>(&self, mut clocks: C) -> Result<(), C::Error> {
        if let Some(hedge) = self.plan.hedge.as_ref().filter(|hedge| hedge.wants_latency()) {
            let now = clocks.run()?;
            hedge.took(now, now.saturating_duration_since(self.began));
        }
        Ok(())
    }
}

impl<P: Deref<Target = Plan>> Drop for Race<P> {
    fn drop(&mut self) {
        self.plan.ledger.hedged(self.tries - 1, self.won_by_hedge);
    }
}

impl<P: Deref<Target = Plan>> std::fmt::Debug for Race<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Race")
            .field("tries", &self.tries)
            .field("under_way", &self.under_way)
            .field("due", &self.due())
            .finish_non_exhaustive()
    }
}

/// What was charged for a try that has not begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "say `begun`, or `give_back`"]
pub struct TryCharge {
    load: Charged,
    budget: Option<Charged>,
}
