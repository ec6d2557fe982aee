//! A law for each pair of stages: an outage, then recovery, and neither feeds the other its refusals.
//!
//! Each pair goes through worlds of random arrivals and one outage, awaited and blocking. In all of them:
//!
//! - what one stage refuses is to the other no failure, no spent share of a budget, no sample of a
//!   latency and no quota (`judge.rs` has the sums);
//! - in the end all permits, places and quota are back, and nobody sleeps;
//! - so long after the end of the outage as [`Stage::recovers_within`] says for the two together,
//!   calls at the full rate all succeed, each with a fresh value;
//! - what is counted adds up, after every event.

mod driving;
mod judge;
mod service;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use self::world::{Options, World, options};
use crate::laws::cases;

/// A stage of the pipeline, or a part of one that can be there without the others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Fallback,
    Cache,
    RunTimeout,
    Breaker,
    Bulkhead,
    Limiter,
    Retries,
    AttemptTimeout,
    Hedge,
    Budget,
}

impl Stage {
    const ALL: [Self; 10] = [
        Self::Fallback,
        Self::Cache,
        Self::RunTimeout,
        Self::Breaker,
        Self::Bulkhead,
        Self::Limiter,
        Self::Retries,
        Self::AttemptTimeout,
        Self::Hedge,
        Self::Budget,
    ];

    /// How long after an outage the stage may still refuse, in milliseconds.
    fn recovers_within(self) -> u64 {
        match self {
            // Its open time, and until somebody comes to be the probe whom no other stage refuses.
            Self::Breaker => 2000 + 3 * world::SPACING,
            // Until those who came in the outage have had their turns.
            Self::Limiter => world::LONGEST_WAIT + 2 * world::SPACING,
            Self::Bulkhead => 2 * world::SPACING,
            Self::Fallback
            | Self::Cache
            | Self::RunTimeout
            | Self::Retries
            | Self::AttemptTimeout
            | Self::Hedge
            | Self::Budget => 0,
        }
    }
}

/// How long after an outage two stages together may still refuse.
fn bound(pair: [Stage; 2]) -> Duration {
    // A call that is under way as the outage ends may still fail.
    Duration::from_millis(
        world::LONGEST_CALL + pair.map(Stage::recovers_within).iter().sum::<u64>(),
    )
}

fn holds(pair: [Stage; 2], options: &Options, awaits: bool) -> Result<(), TestCaseError> {
    let world = World::new(pair, options);
    let ended =
        if awaits { driving::awaited(world, options)? } else { driving::blocking(world, options)? };
    ended.is_whole()
}

/// A case for each pair, and a list of them all.
macro_rules! pairs {
    ($($name:ident: $one:ident, $other:ident;)*) => {
        const PAIRS: &[(&str, [Stage; 2])] =
            &[$((stringify!($name), [Stage::$one, Stage::$other])),*];

        proptest! {
            #![proptest_config(cases(24))]
            $(
                #[test]
                fn $name(options in options()) {
                    for awaits in [true, false] {
                        holds([Stage::$one, Stage::$other], &options, awaits)?;
                    }
                }
            )*
        }
    };
}

pairs! {
    fallback_and_cache: Fallback, Cache;
    fallback_and_run_timeout: Fallback, RunTimeout;
    fallback_and_breaker: Fallback, Breaker;
    fallback_and_bulkhead: Fallback, Bulkhead;
    fallback_and_limiter: Fallback, Limiter;
    fallback_and_retries: Fallback, Retries;
    fallback_and_attempt_timeout: Fallback, AttemptTimeout;
    fallback_and_hedge: Fallback, Hedge;
    fallback_and_budget: Fallback, Budget;
    cache_and_run_timeout: Cache, RunTimeout;
    cache_and_breaker: Cache, Breaker;
    cache_and_bulkhead: Cache, Bulkhead;
    cache_and_limiter: Cache, Limiter;
    cache_and_retries: Cache, Retries;
    cache_and_attempt_timeout: Cache, AttemptTimeout;
    cache_and_hedge: Cache, Hedge;
    cache_and_budget: Cache, Budget;
    run_timeout_and_breaker: RunTimeout, Breaker;
    run_timeout_and_bulkhead: RunTimeout, Bulkhead;
    run_timeout_and_limiter: RunTimeout, Limiter;
    run_timeout_and_retries: RunTimeout, Retries;
    run_timeout_and_attempt_timeout: RunTimeout, AttemptTimeout;
    run_timeout_and_hedge: RunTimeout, Hedge;
    run_timeout_and_budget: RunTimeout, Budget;
    breaker_and_bulkhead: Breaker, Bulkhead;
    breaker_and_limiter: Breaker, Limiter;
    breaker_and_retries: Breaker, Retries;
    breaker_and_attempt_timeout: Breaker, AttemptTimeout;
    breaker_and_hedge: Breaker, Hedge;
    breaker_and_budget: Breaker, Budget;
    bulkhead_and_limiter: Bulkhead, Limiter;
    bulkhead_and_retries: Bulkhead, Retries;
    bulkhead_and_attempt_timeout: Bulkhead, AttemptTimeout;
    bulkhead_and_hedge: Bulkhead, Hedge;
    bulkhead_and_budget: Bulkhead, Budget;
    limiter_and_retries: Limiter, Retries;
    limiter_and_attempt_timeout: Limiter, AttemptTimeout;
    limiter_and_hedge: Limiter, Hedge;
    limiter_and_budget: Limiter, Budget;
    retries_and_attempt_timeout: Retries, AttemptTimeout;
    retries_and_hedge: Retries, Hedge;
    retries_and_budget: Retries, Budget;
    attempt_timeout_and_hedge: AttemptTimeout, Hedge;
    attempt_timeout_and_budget: AttemptTimeout, Budget;
    hedge_and_budget: Hedge, Budget;
}

#[test]
fn every_pair_of_stages_has_its_case_and_its_name() {
    let words = |stage: Stage| {
        let mut words = String::new();
        for letter in format!("{stage:?}").chars() {
            if letter.is_uppercase() && !words.is_empty() {
                words.push('_');
            }
            words.extend(letter.to_lowercase());
        }
        words
    };
    let all: BTreeSet<_> = (0..Stage::ALL.len())
        .flat_map(|at| Stage::ALL[at + 1..].iter().map(move |other| [Stage::ALL[at], *other]))
        .collect();

    assert_eq!(45, all.len());
    assert_eq!(all, PAIRS.iter().map(|(_, pair)| *pair).collect());
    for (name, [one, other]) in PAIRS {
        assert_eq!(*name, format!("{}_and_{}", words(*one), words(*other)));
    }
}
