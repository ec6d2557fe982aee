//! What has to be true of any two stages, told from outside: from who called what, and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use limitpal::{Charge, CircuitState, Instant, RunError};
use proptest::prelude::*;

use super::service::{Called, End};
use super::world::{Answer, CAPACITY, INSTEAD, MIN_SAMPLES, SLOW, TTL, World};
use super::{Stage, bound};

type Check = Result<(), TestCaseError>;

impl World {
    /// What is true after every event.
    pub(super) fn is_sound(&self) -> Check {
        let stats = self.stats();
        let ended = stats.successes + stats.failures + stats.refusals() + stats.cancelled;
        prop_assert_eq!(stats.calls, ended + stats.in_flight, "{:?}", stats);
        prop_assert_eq!(stats.attempts, stats.firsts + stats.retries + stats.hedges);
        self.breaker_was_fed_calls(false)?;
        // A call that was dropped by its caller, or lost to a hedge, is to blame if it was slow.
        let log = self.service.log.borrow();
        let is_to_blame = |it: &Called| {
            matches!(it.ended, Some((_, End::Failed))) || self.lasted(it) >= SLOW.min(self.cut)
        };
        let opened = self.breaker.stats().trips > 0;
        prop_assert!(!opened || log.iter().any(is_to_blame), "it opened, and nothing was wrong");
        Ok(())
    }

    /// What is true in the end.
    pub(super) fn is_whole(&self) -> Check {
        self.counts_add_up()?;
        self.breaker_was_fed_calls(true)?;
        self.budget_is_as_calls_and_retries_say()?;
        self.hedges_went_by_values()?;
        self.quota_went_to_calls()?;
        self.nothing_is_held()?;
        self.all_is_well_in_time()
    }

    fn counts_add_up(&self) -> Check {
        let (stats, log) = (self.stats(), self.service.log.borrow());
        prop_assert_eq!(log.len() as u64, stats.attempts, "{:?}", stats);
        prop_assert!(log.iter().all(|called| called.ended.is_some()), "a call is still under way");
        let answers = self.answers.borrow();
        let got = |is: fn(&Answer) -> bool| {
            answers.iter().filter(|(_, it)| it.as_ref().is_some_and(|(_, it)| is(it))).count()
                as u64
        };
        let instead = got(|answer| *answer == Ok(INSTEAD));
        prop_assert_eq!(instead, stats.fallbacks);
        if self.has(Stage::Cache) {
            let cache = self.cache.stats();
            prop_assert_eq!(cache.misses, stats.calls, "a hit is no run, a miss is one");
            return Ok(());
        }
        let ended = answers.len() as u64;
        prop_assert_eq!(ended, stats.calls);
        prop_assert_eq!(self.left.get(), stats.cancelled);
        if !self.has(Stage::Fallback) {
            let refused = got(|answer| answer.as_ref().is_err_and(RunError::is_refusal));
            prop_assert_eq!((got(Result::is_ok), refused), (stats.successes, stats.refusals()));
        }
        for (by, (_, answer)) in answers.iter().enumerate() {
            if let Some((_, Err(error))) = answer {
                let called = log.iter().any(|called| called.by == by);
                prop_assert_eq!(called, !error.is_refusal(), "{:?} of {}", error, by);
            }
        }
        Ok(())
    }

    /// Each outcome that the breaker has heard of is that of a run (or an attempt) which called the
    /// other side. So a refusal of another stage is none, neither good nor bad. An attempt is counted
    /// when its run ends.
    fn breaker_was_fed_calls(&self, all_have_ended: bool) -> Check {
        if !self.has(Stage::Breaker) {
            return Ok(());
        }
        let (stats, heard) = (self.stats(), self.breaker.stats());
        let log = self.service.log.borrow();
        let left = log.iter().filter(|it| matches!(it.ended, Some((_, End::Left))));
        let left: BTreeSet<_> = left.map(|called| called.by).collect();
        let outcomes = match self.charge {
            Charge::Call => stats.successes + stats.failures - stats.stopped_by_breaker,
            _ => stats.firsts + stats.retries - left.len() as u64,
        };
        let all = heard.successes.unwrap() + heard.failures + heard.late;
        if self.charge == Charge::Call || all_have_ended {
            prop_assert_eq!(outcomes, all, "{:?} {:?}", stats, heard);
        }
        Ok(())
    }

    /// `left = ratio * calls - retries - hedges`: nothing else adds or spends.
    fn budget_is_as_calls_and_retries_say(&self) -> Check {
        if !self.has(Stage::Budget) {
            return Ok(());
        }
        let stats = self.stats();
        let log = self.service.log.borrow();
        let mut firsts = BTreeMap::new();
        let mut first_is_left = BTreeSet::new();
        for called in log.iter() {
            let first = *firsts.entry(called.by).or_insert(called);
            // A hedge of the first attempt began before its first try had failed.
            let is_of_first = first.ended.is_none_or(|(at, _)| called.began < at);
            let is_left = matches!(called.ended, Some((_, End::Left)));
            if is_left && (std::ptr::eq(first, called) || is_of_first) {
                first_is_left.insert(called.by);
            }
        }
        let calls = stats.firsts - first_is_left.len() as u64;
        let spent = stats.retries + stats.hedges;
        let left = ((0.2 * calls as f64) as u64).saturating_sub(spent);
        prop_assert_eq!(left, self.budget.left(), "{} calls, {:?}", calls, stats);
        Ok(())
    }

    /// The first hedge there is had as many values to go by as were asked for.
    fn hedges_went_by_values(&self) -> Check {
        if !self.has(Stage::Hedge) {
            prop_assert_eq!(0, self.stats().hedges);
            return Ok(());
        }
        let log = self.service.log.borrow();
        let ended = |called: &Called| called.ended.map_or(Instant::MAX, |(at, _)| at);
        let is_hedge = |(at, hedge): &(usize, &Called)| {
            log[..*at].iter().any(|it| it.by == hedge.by && ended(it) > hedge.began)
        };
        if let Some((_, hedge)) = log.iter().enumerate().find(is_hedge) {
            let known = log.iter().filter(|it| matches!(it.ended, Some((_, End::Value))));
            let known = known.filter(|it| ended(it) <= hedge.began).count();
            prop_assert!(known >= MIN_SAMPLES as usize, "a hedge after {known} values");
        }
        Ok(())
    }

    /// No quota has gone but to runs (or tries) that called the other side.
    fn quota_went_to_calls(&self) -> Check {
        if !self.has(Stage::Limiter) {
            return Ok(());
        }
        let log = self.service.log.borrow();
        let (mut tokens, mut last) = (f64::from(CAPACITY), Instant::ZERO);
        let mut after = |now: Instant, taken: f64| {
            let gained = 5.0 * now.saturating_duration_since(last).as_secs_f64();
            tokens = (tokens + gained).min(f64::from(CAPACITY)) - taken;
            last = now;
            tokens
        };
        let mut known = BTreeSet::new();
        for called in log.iter() {
            let is_first = known.insert(called.by);
            if is_first || self.charge == Charge::Attempt {
                prop_assert!(after(called.began, 1.0) > -1e-6, "{called:?} had no quota");
            }
        }
        Ok(())
    }

    fn nothing_is_held(&self) -> Check {
        prop_assert_eq!(None, self.clock.next_deadline());
        prop_assert_eq!((0, 0), (self.bulkhead.in_flight(), self.bulkhead.waiting()));
        prop_assert_eq!(f64::from(CAPACITY), self.bucket.tokens("key"));
        prop_assert_eq!(CircuitState::Closed, self.breaker.state());
        prop_assert!(self.breaker.allow() && self.breaker.allow(), "no permit is out");
        Ok(())
    }

    fn all_is_well_in_time(&self) -> Check {
        let well = self.service.down.end + bound(self.pair);
        let answers = self.answers.borrow();
        let mut seen = 0;
        for (comes, answer) in answers.iter().filter(|(comes, _)| *comes >= well) {
            let Some((ended, Ok(value))) = answer else {
                return Err(TestCaseError::fail(format!("{answer:?} came at {comes:?}")));
            };
            let oldest = ended.saturating_sub(Duration::from_millis(TTL));
            prop_assert!(*value != INSTEAD && *value > oldest.as_nanos(), "{value} at {ended:?}");
            seen += 1;
        }
        prop_assert!(seen >= 10, "{seen} calls at the full rate");
        Ok(())
    }

    /// How long a call took, in milliseconds.
    fn lasted(&self, called: &Called) -> u64 {
        let ended = called.ended.map_or(self.clock.now(), |(at, _)| at);
        ended.saturating_duration_since(called.began).as_millis() as u64
    }
}
