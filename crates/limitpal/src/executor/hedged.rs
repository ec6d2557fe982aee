//! An attempt of several tries, polled side by side in the caller's own task or thread.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Parts, race};
use crate::call::{Charge, Plan, Race, RunNumber, TryEnd, Verdict};
use crate::clock::{SharedClock, Sleep};
use crate::limiter::{CompositePermit, Quota};
use crate::time::Instant;

/// Whose attempt it is, which of its run, and as which run it is told of.
pub(super) type Which<'k> = (&'k str, u32, Option<RunNumber>);

/// A try besides the first. Dropped, it ends.
struct Hedged<Answer> {
    number: u32,
    answer: Pin<Box<Answer>>,
}

/// What an attempt of several tries keeps while it lasts.
struct Tries<'p, T, E, Answer> {
    race: Race<&'p Plan>,
    /// Sleeps until the next try is due.
    sleeper: &'p SharedClock,
    first_has_ended: bool,
    hedged: Vec<Hedged<Answer>>,
    /// Rings when the next try is due; set once the first try was found not to be ready.
    timer: Option<Sleep>,
    kept: Option<Result<T, E>>,
}

impl<E: 'static> Parts<E> {
    /// Makes one attempt in the caller's own task; none: its time is over.
    pub(super) async fn attempt<T, F, Answer>(
        &self,
        which: Which<'_>,
        ends: Option<Instant>,
        mut function: F,
    ) -> Option<Result<T, E>>
    where
        F: FnMut() -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        if self.plan.hedge.is_none() {
            return race::until(ends, &self.clock, function()).await;
        }
        let holding = |permit: CompositePermit| {
            let answer = function();
            async move {
                let _permit = permit;
                answer.await
            }
        };
        race::until(ends, &self.clock, self.race(which, ends, &self.clock, holding)).await
    }

    /// Makes one attempt, with hedges if it is slow. Each try is given what it is to hold until it
    /// ends.
    pub(super) async fn race<T, F, Answer>(
        &self,
        (key, number, run): Which<'_>,
        until: Option<Instant>,
        sleeper: &SharedClock,
        mut function: F,
    ) -> Result<T, E>
    where
        F: FnMut(CompositePermit) -> Answer,
        Answer: Future<Output = Result<T, E>>,
    {
        let Ok(race) = Race::begin(&self.plan, number, until, self);
        let mut first = pin!(function(CompositePermit::default()));
        let Some(race) = race else { return first.await };
        let race = race.told_as(run, number);
        let (hedged, timer, kept) = (Vec::new(), None, None);
        let mut tries = Tries { race, sleeper, first_has_ended: false, hedged, timer, kept };
        poll_fn(|context| {
            loop {
                if let Poll::Ready(answer) = tries.poll(self, first.as_mut(), context) {
                    return Poll::Ready(answer);
                }
                if !tries.is_due(self, context) || !tries.hedge(self, key, &mut function) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Returns what an answer means to the other tries of its attempt.
    fn try_end<T>(&self, answer: &Result<T, E>) -> TryEnd {
        match (answer, &self.retry_policy) {
            (Ok(_), _) => TryEnd::Value,
            (Err(error), _) if self.sees_refusal(error) => TryEnd::Refusal,
            (Err(error), _) if self.verdict(error).is_some_and(|it| !it.deserves_another) => {
                TryEnd::Value
            }
            (Err(error), Some(policy)) if !policy.is_retryable(error) => TryEnd::FinalFailure,
            (Err(_), _) => TryEnd::Failure,
        }
    }

    /// Takes quota for a hedge where attempts are charged; none: there is none at once.
    fn quota_of_hedge(&self, key: &str) -> Option<CompositePermit> {
        if self.plan.charge == Charge::Call || !self.plan.has_limiter {
            return Some(CompositePermit::default());
        }
        let quota = self.enter_blocking(key, Some(Duration::ZERO)).ok()?;
        Some(quota.map(Quota::into_permit).unwrap_or_default())
    }
}

impl<T, E: 'static, Answer: Future<Output = Result<T, E>>> Tries<'_, T, E, Answer> {
    /// Polls each try that is under way, in the order they began.
    fn poll(
        &mut self,
        parts: &Parts<E>,
        first: Pin<&mut Answer>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, E>> {
        if !self.first_has_ended
            && let Poll::Ready(answer) = first.poll(context)
        {
            self.first_has_ended = true;
            if let Some(answer) = self.end(parts, 0, answer) {
                return Poll::Ready(answer);
            }
        }
        let mut at = 0;
        while at < self.hedged.len() {
            match self.hedged[at].answer.as_mut().poll(context) {
                Poll::Pending => at += 1,
                Poll::Ready(answer) => {
                    let ended = self.hedged.remove(at);
                    if let Some(answer) = self.end(parts, ended.number, answer) {
                        return Poll::Ready(answer);
                    }
                }
            }
        }
        Poll::Pending
    }

    /// A try has ended: returns how the attempt ends, if it does.
    fn end(&mut self, parts: &Parts<E>, number: u32, answer: Result<T, E>) -> Option<Result<T, E>> {
        let Ok(verdict) = self.race.ended(number, parts.try_end(&answer), parts);
        match verdict {
            Verdict::This => return Some(answer),
            Verdict::Kept => return self.kept.take(),
            Verdict::Keep => self.kept = Some(answer),
            Verdict::Forget => {}
        }
        None
    }

    /// Returns whether another try is due; else the timer is set, if there will be one.
    fn is_due(&mut self, parts: &Parts<E>, context: &mut Context<'_>) -> bool {
        let Some(due) = self.race.due() else { return false };
        let clock = &parts.clock;
        loop {
            let now = clock.now();
            if now >= due {
                self.timer = None;
                return true;
            }
            let wait = due.saturating_duration_since(now);
            let timer = self.timer.get_or_insert_with(|| self.sleeper.sleep_until(due, wait));
            if timer.as_mut().poll(context).is_pending() {
                return false;
            }
            // It rang early, as a timer of the user's may.
            self.timer = None;
        }
    }

    /// Starts another try; false if there is to be none.
    fn hedge<F: FnMut(CompositePermit) -> Answer>(
        &mut self,
        parts: &Parts<E>,
        key: &str,
        function: &mut F,
    ) -> bool {
        let Ok(charge) = self.race.charge(parts);
        let Some(charge) = charge else { return false };
        let Some(permit) = parts.quota_of_hedge(key) else {
            self.race.give_back(charge);
            return false;
        };
        let number = self.race.begun(parts.clock.now());
        self.hedged.push(Hedged { number, answer: Box::pin(function(permit)) });
        true
    }
}
