//! What a run holds of others, and tells them: the breaker's permit, and what a budget lent.

use std::ops::Deref;

use super::{Asked, Call, Clocks, Plan, Stage, Stop, quota_or_attempt};
use crate::circuit_breaker::{Outcome, Permit};
use crate::refusal::{CircuitBreakerOpen, StopReason};

impl<P: Deref<Target = Plan>> Call<P> {
    /// Begins a run under a permit that the breaker has lent it already.
    pub(crate) fn lent<C: Clocks>(
        plan: P,
        permit: Option<Permit>,
        mut clocks: C,
    ) -> Result<Self, C::Error> {
        let stage = match quota_or_attempt(&plan) {
            Asked::Acquire => Stage::Acquire,
            Asked::Attempt => Stage::Attempt,
        };
        plan.ledger.began();
        let mut call = Self::at(plan, stage, permit);
        call.begin(&mut clocks)?;
        Ok(call)
    }

    /// Asks the breaker. A permit that is still good is kept.
    #[inline]
    pub(super) fn ask<C: Clocks>(
        &mut self,
        clocks: &mut C,
    ) -> Result<Result<(), CircuitBreakerOpen>, C::Error> {
        let Some(breaker) = &self.plan.breaker else { return Ok(Ok(())) };
        let answer = match self.permit {
            None => breaker.admit(|| clocks.breaker())?,
            Some(permit) => breaker.renew(permit, || clocks.breaker())?,
        };
        self.permit = answer.ok();
        Ok(answer.map(|_| ()))
    }

    /// Returns how the run ends that the breaker stops.
    pub(super) fn stop_at(&self, refusal: CircuitBreakerOpen) -> Stop {
        match self.attempts {
            0 => Stop::CircuitBreakerOpen(refusal),
            _ => Stop::RetryExhausted(StopReason::CircuitOpen),
        }
    }

    #[inline]
    pub(super) fn record<C: Clocks>(
        &mut self,
        outcome: Outcome,
        clocks: &mut C,
    ) -> Result<(), C::Error> {
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, self.permit) {
            breaker.record_since(permit, outcome, self.began, || clocks.breaker())?;
            self.permit = None;
        }
        Ok(())
    }

    /// Tells the budget of a call, whose first attempt has ended.
    #[inline]
    pub(super) fn count_call<C: Clocks>(&mut self, clocks: &mut C) -> Result<(), C::Error> {
        match &self.plan.budget {
            Some(budget) if self.attempts == 1 => budget.count_call(|| clocks.budget()),
            _ => Ok(()),
        }
    }

    /// Gives the permit back of an attempt that counts as neither success nor failure.
    pub(super) fn ignore(&mut self) {
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, self.permit.take()) {
            breaker.ignore(permit);
        }
    }

    #[inline]
    pub(super) fn give_back(&mut self) {
        if let (Some(breaker), Some(permit)) = (&self.plan.breaker, self.permit.take()) {
            breaker.give_back(permit);
        }
    }
}

impl<P: Deref<Target = Plan>> Drop for Call<P> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_over {
            let is_in_attempt = self.stage == Stage::Attempt;
            self.plan.ledger.cancelled(self.attempts + u32::from(is_in_attempt));
            if is_in_attempt {
                self.ignore();
            }
        }
        self.give_back();
        if let (Some(budget), Some(charged)) = (&self.plan.budget, self.charged.take()) {
            budget.give_back(charged);
        }
        if let Some(run) = self.story {
            self.tell_end(run);
        }
    }
}
