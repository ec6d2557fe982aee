//! When to come back is exact, whatever a composite is made of, and a refusal takes nothing.

use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, CompositePermit, ConcurrencyLimiter, Cost, FixedWindow,
    HoldingLimiter, Instant, LeakyBucket, MockClock, Rate, RetryAfter, SlidingWindowCounter,
    SlidingWindowLog, TokenBucket,
};
use proptest::prelude::*;

use super::cases;

const KEYS: [&str; 2] = ["a", "b"];

/// A part: its kind, its size, its time in nanoseconds, and whether it tells keys apart.
type Spec = (Kind, u32, u64, bool);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Token,
    Leaky,
    Fixed,
    Counter,
    Log,
    Pool,
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    use Kind::{Counter, Fixed, Leaky, Log, Pool, Token};
    let kind = proptest::sample::select(vec![Token, Leaky, Fixed, Counter, Log, Pool]);
    let per = prop_oneof![Just(1_000_000_000), Just(333_333_333), 1_000_u64..5_000_000_000];
    proptest::collection::vec((kind, 1_u32..6, per, any::<bool>()), 1..5)
}

/// What happens to a composite.
#[derive(Clone, Debug)]
enum Event {
    Pass(u64),
    /// One who does not wait: by `try_acquire`, or by an acquire of no patience.
    Come(usize, u64, bool),
    /// One of the permits goes back.
    Release(usize),
    /// Somebody takes from one part alone.
    Take(usize, usize, u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let (key, cost) = (0..KEYS.len(), prop_oneof![3 => Just(1_u64), 2 => 1_u64..7]);
    let event = prop_oneof![
        3 => prop_oneof![0_u64..2_000_000_000, 0_u64..1_000].prop_map(Event::Pass),
        5 => (key.clone(), cost.clone(), any::<bool>()).prop_map(|(k, c, t)| Event::Come(k, c, t)),
        1 => (0_usize..5).prop_map(Event::Release),
        3 => (0_usize..5, key, cost).prop_map(|(part, k, c)| Event::Take(part, k, c)),
    ];
    proptest::collection::vec(event, 1..25)
}

struct World {
    clock: MockClock,
    rates: Vec<AnyLimiter>,
    pools: Vec<ConcurrencyLimiter>,
    all: HoldingLimiter,
    /// The same parts, where none is a pool.
    numbered: Option<CompositeLimiter>,
    permits: Vec<CompositePermit>,
}

impl World {
    fn new(specs: &[Spec]) -> Self {
        let clock = MockClock::new();
        let (mut rates, mut pools): (Vec<AnyLimiter>, Vec<_>) = (Vec::new(), Vec::new());
        for &(kind, size, nanos, per_key) in specs {
            let per = Duration::from_nanos(nanos);
            let rate = || Rate::new(size, per).or_else(|_| Rate::per_second(3.0)).unwrap();
            macro_rules! limiter {
                ($kind:ident, $second:expr) => {{
                    let builder = $kind::builder(size, $second).clock(&clock).per_key(per_key);
                    rates.push(builder.build().unwrap().into())
                }};
            }
            match kind {
                Kind::Token => limiter!(TokenBucket, rate()),
                Kind::Leaky => limiter!(LeakyBucket, rate()),
                Kind::Fixed => limiter!(FixedWindow, per),
                Kind::Counter => limiter!(SlidingWindowCounter, per),
                Kind::Log => limiter!(SlidingWindowLog, per),
                Kind::Pool => {
                    let builder = ConcurrencyLimiter::builder(size).per_key(per_key);
                    pools.push(builder.clock(&clock).build().unwrap());
                }
            }
        }
        let parts = rates.iter().cloned().map(HoldingLimiter::from);
        let all = parts.chain(pools.iter().cloned().map(HoldingLimiter::from));
        let all = HoldingLimiter::new(all).unwrap();
        let numbered = pools.is_empty().then(|| CompositeLimiter::new(rates.clone()).unwrap());
        Self { clock, rates, pools, all, numbered, permits: Vec::new() }
    }

    fn take(&mut self, part: usize, key: usize, cost: Cost) {
        match part.checked_sub(self.rates.len()) {
            None => drop(self.rates[part].allow((KEYS[key], cost))),
            Some(pool) => {
                if let Some(pool) = self.pools.get(pool) {
                    let own: HoldingLimiter = pool.clone().into();
                    self.permits.extend(own.try_acquire((KEYS[key], cost)));
                }
            }
        }
    }

    /// Asks once; when it was refused, until when.
    fn ask(&mut self, ask: (&str, Cost), tries: bool) -> Option<RetryAfter> {
        match (tries, &self.numbered) {
            (true, Some(numbered)) => {
                let decision = numbered.check(ask);
                (!decision.allowed).then_some(decision.retry_after)
            }
            _ => match self.all.acquire_timeout_blocking(ask, Duration::ZERO) {
                Ok(permit) => {
                    self.permits.push(permit);
                    None
                }
                Err(refusal) => Some(refusal.retry_after()),
            },
        }
    }

    /// All that can be seen of what was taken.
    fn seen(&self) -> String {
        let of = |key: &&str| {
            let rates = self.rates.iter().map(|rate| rate.peek(*key)).collect::<Vec<_>>();
            let pools = self.pools.iter().map(|pool| (pool.in_flight(key), pool.waiting(key)));
            (rates, pools.collect::<Vec<_>>())
        };
        format!("{:?}", KEYS.iter().map(of).collect::<Vec<_>>())
    }

    fn is_pool_full(&self, (key, cost): (&str, Cost)) -> bool {
        let cost = cost.get();
        self.pools.iter().any(|pool| u64::from(pool.in_flight(key)) + cost > pool.limit().into())
    }

    /// Asks, and if it is refused, asks again just before and just when it said.
    fn come(&mut self, ask: (&str, Cost), tries: bool) -> Result<(), TestCaseError> {
        let before = self.seen();
        let Some(retry_after) = self.ask(ask, tries) else { return Ok(()) };
        prop_assert_eq!(&before, &self.seen(), "a refusal took something");
        match retry_after {
            RetryAfter::After(wait) => {
                prop_assert!(!self.is_pool_full(ask), "nobody knows that");
                self.clock.advance(wait - Duration::from_nanos(1));
                let left = self.ask(ask, tries);
                let last = RetryAfter::After(Duration::from_nanos(1));
                prop_assert_eq!(Some(last), left, "a nanosecond before");
                self.clock.advance(Duration::from_nanos(1));
                prop_assert_eq!(None, self.ask(ask, tries), "after {:?}", wait);
            }
            RetryAfter::Never => {
                self.permits.clear();
                self.clock.set_time(self.clock.now() + Duration::from_secs(1_000_000));
                prop_assert_eq!(Some(RetryAfter::Never), self.ask(ask, tries));
            }
            RetryAfter::Unknown => {
                prop_assert!(self.is_pool_full(ask), "it is full, or one would know");
                self.permits.clear();
                let left = self.ask(ask, tries);
                let is_known = matches!(left, None | Some(RetryAfter::After(_)));
                prop_assert!(is_known, "without anybody in the way it is {:?}", left);
            }
            _ => prop_assert!(false, "refused, and at once: {:?}", retry_after),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn refused_a_nanosecond_before_and_admitted_at_it(specs in specs(), events in events()) {
        let mut world = World::new(&specs);
        for event in events {
            match event {
                Event::Pass(nanos) => world.clock.advance(Duration::from_nanos(nanos)),
                Event::Come(key, cost, tries) => {
                    world.come((KEYS[key], Cost::new(cost).unwrap()), tries)?;
                }
                Event::Release(back) if !world.permits.is_empty() => {
                    let back = back % world.permits.len();
                    drop(world.permits.swap_remove(back));
                }
                Event::Release(_) => {}
                Event::Take(part, key, cost) => world.take(part, key, Cost::new(cost).unwrap()),
            }
        }
        world.permits.clear();
        prop_assert!(world.pools.iter().all(ConcurrencyLimiter::is_empty), "a permit was lost");
        prop_assert!(world.clock.now() >= Instant::ZERO);
    }
}
