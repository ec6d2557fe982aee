//! For all kinds and inputs: an observed limiter decides as one that is not, and what is told is
//! what was decided.

use std::time::Duration;

use limitpal::{AnyLimiter, Cost, Decision, Event, Evict, MockClock, RetryAfter};
use proptest::prelude::*;

use super::Heard;
use crate::evict::{KINDS, LIMIT, Memory, PER, limited};
use crate::laws::cases;

#[derive(Clone, Debug)]
enum Act {
    Pass(u32),
    Check(u8, u64),
    Allow(u8, u64),
    Acquire(u8, u64),
    Reset(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (key, cost) = (0_u8..3, prop_oneof![3 => Just(1_u64), 1 => 1_u64..6]);
    let act = prop_oneof![
        2 => (0_u32..12_000).prop_map(Act::Pass),
        3 => (key.clone(), cost.clone()).prop_map(|(key, cost)| Act::Check(key, cost)),
        2 => (key.clone(), cost.clone()).prop_map(|(key, cost)| Act::Allow(key, cost)),
        2 => (key.clone(), cost).prop_map(|(key, cost)| Act::Acquire(key, cost)),
        1 => key.prop_map(Act::Reset),
    ];
    proptest::collection::vec(act, 1..60)
}

/// What is to be told of a call: refused, or up to the share.
fn expected(
    key: &str,
    cost: u64,
    calm: &AnyLimiter,
    share: f64,
    act: impl FnOnce() -> Answer,
) -> Vec<String> {
    let before = calm.peek(key).remaining;
    match act() {
        Answer::Refused(retry_after) => vec![format!("refused {key} {cost} {retry_after:?}")],
        Answer::Allowed => {
            let Decision { remaining, limit, .. } = calm.peek(key);
            let used = |left: u32| f64::from(limit - left) / f64::from(limit);
            let crosses = used(before) < share && share <= used(remaining);
            let near = || format!("near {key} {} of {limit}", limit - remaining);
            crosses.then(near).into_iter().collect()
        }
    }
}

enum Answer {
    Allowed,
    Refused(RetryAfter),
}

fn answer(decision: Decision) -> Answer {
    if decision.allowed { Answer::Allowed } else { Answer::Refused(decision.retry_after) }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn what_is_told_is_what_was_decided(
        kind in 0..KINDS,
        share in prop_oneof![Just(0.8), Just(1.0), 0.01_f64..1.0],
        acts in acts(),
    ) {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: None, evict: Evict::NearestNew };
        let (calm, observed) = (limited(kind, memory, &clock), limited(kind, memory, &clock));
        let (calm, observed) = (calm.limiter, observed.limiter);
        let heard = Heard::default();
        let _subscription = observed.observe_near(share, heard.clone().listener()).unwrap();

        for act in acts {
            let mut told = Vec::new();
            match act {
                Act::Pass(nanos) => clock.advance(Duration::from_nanos(nanos.into())),
                Act::Check(key, cost) => {
                    let (key, cost) = (format!("key {key}"), Cost::new(cost).unwrap());
                    told = expected(&key, cost.get(), &calm, share, || answer(calm.check((&*key, cost))));
                    let decision = observed.check((&*key, cost));
                    prop_assert_eq!(calm.peek(&*key).remaining, decision.remaining);
                }
                Act::Allow(key, cost) => {
                    let (key, cost) = (format!("key {key}"), Cost::new(cost).unwrap());
                    told = expected(&key, cost.get(), &calm, share, || answer(calm.check((&*key, cost))));
                    let allowed = observed.allow((&*key, cost));
                    prop_assert_eq!(told.iter().all(|word| !word.starts_with("refused")), allowed);
                }
                Act::Acquire(key, cost) => {
                    let (key, cost) = (format!("key {key}"), Cost::new(cost).unwrap());
                    let zero = Duration::ZERO;
                    told = expected(&key, cost.get(), &calm, share, || {
                        match calm.acquire_timeout_blocking((&*key, cost), zero) {
                            Ok(()) => Answer::Allowed,
                            Err(refusal) => Answer::Refused(refusal.retry_after()),
                        }
                    });
                    let acquired = observed.acquire_timeout_blocking((&*key, cost), zero);
                    prop_assert_eq!(told.iter().all(|word| !word.starts_with("refused")), acquired.is_ok());
                }
                Act::Reset(key) => {
                    let key = format!("key {key}");
                    calm.reset(&key);
                    observed.reset(&key);
                }
            }
            prop_assert_eq!(told, heard.words());
            for key in 0..3 {
                let key = format!("key {key}");
                prop_assert_eq!(calm.peek(&*key), observed.peek(&*key));
            }
        }
    }

    /// However often it is refused or taken, use comes up to the share once for each time that it
    /// was below it: as many crossings as descents, or one more.
    #[test]
    fn crossings_and_descents_take_turns(
        pauses in proptest::collection::vec(0_u32..6_000, 1..200),
        kind in 0..KINDS,
    ) {
        let clock = MockClock::new();
        let memory = Memory { max_buckets: None, evict: Evict::NearestNew };
        let limiter = limited(kind, memory, &clock).limiter;
        let (heard, _subscription) = Heard::of(&limiter);
        let mut near = false;

        for pause in pauses {
            clock.advance(Duration::from_nanos(pause.into()));
            let is_near = |left: u32| f64::from(LIMIT - left) / f64::from(LIMIT) >= 0.8;
            near &= is_near(limiter.peek("key").remaining);
            let _answer = limiter.allow("key");
            let told = heard.take().iter().any(|event| matches!(event, Event::NearLimit { .. }));
            prop_assert!(!(near && told), "told of again");
            near |= told;
            prop_assert_eq!(near, is_near(limiter.peek("key").remaining), "in {:?}", PER);
        }
    }
}
