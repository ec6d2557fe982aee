//! What a limiter counts adds up, at every instant, whatever its calls come to.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use limitpal::{
    AnyLimiter, CompositeLimiter, ConcurrencyLimiter, Cost, Evict, FairBucket, FixedWindow,
    HoldingLimiter, LeakyBucket, LimiterStats, MockClock, Rate, RateLimitExceeded,
    SlidingWindowCounter, SlidingWindowLog, TokenBucket, WarmUpBucket,
};
use proptest::prelude::*;

use crate::laws::cases;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Act {
    Allow,
    AllowMany,
    Check,
    Peek,
    /// Begins to wait, for at most so many seconds.
    Acquire(Option<u8>),
    /// Drops the oldest who waits.
    Leave,
    Advance(u16),
    Reset,
}

fn acts() -> impl Strategy<Value = Vec<(Act, u8, u8)>> {
    let act = prop_oneof![
        4 => Just(Act::Allow), 1 => Just(Act::AllowMany), 2 => Just(Act::Check),
        1 => Just(Act::Peek), 4 => proptest::option::of(0_u8..4).prop_map(Act::Acquire),
        2 => Just(Act::Leave), 4 => (1_u16..3000).prop_map(Act::Advance), 1 => Just(Act::Reset),
    ];
    proptest::collection::vec((act, 0_u8..4, 1_u8..5), 1..60)
}

/// A limiter of each kind.
const KINDS: usize = 10;
const FAIR: usize = 6;

fn limiter(kind: usize, clock: &MockClock) -> AnyLimiter {
    let rate = Rate::per_second(1.0).unwrap();
    let token = || TokenBucket::builder(3, rate).clock(clock);
    match kind {
        0 => token().build().unwrap().into(),
        1 => token().per_key(false).build().unwrap().into(),
        2 => LeakyBucket::builder(3, rate).clock(clock).build().unwrap().into(),
        3 => FixedWindow::builder(3, SECOND).clock(clock).build().unwrap().into(),
        4 => SlidingWindowCounter::builder(3, SECOND).clock(clock).build().unwrap().into(),
        5 => SlidingWindowLog::builder(3, SECOND).clock(clock).build().unwrap().into(),
        FAIR => FairBucket::builder(3, rate).clock(clock).build().unwrap().into(),
        7 => WarmUpBucket::builder(3, rate, SECOND).clock(clock).build().unwrap().into(),
        8 => token().max_buckets(2).evict(Evict::RefuseNew).build().unwrap().into(),
        _ => {
            let all = TokenBucket::builder(5, rate).clock(clock).per_key(false);
            let parts = [token().build().unwrap().into(), all.build().unwrap().into()];
            CompositeLimiter::new(parts).unwrap().into()
        }
    }
}

type Wait<'l> = Pin<Box<dyn Future<Output = Result<(), RateLimitExceeded>> + Send + 'l>>;

/// The calls of a limiter, counted from outside.
struct World<'l> {
    clock: &'l MockClock,
    limiter: &'l AnyLimiter,
    kind: usize,
    waits: Vec<(Wait<'l>, u64)>,
    expected: LimiterStats,
}

impl<'l> World<'l> {
    fn answer(&mut self, allowed: bool) {
        let count = if allowed { &mut self.expected.admitted } else { &mut self.expected.refused };
        *count += 1;
    }

    fn act(&mut self, act: Act, key: &'l str, cost: u64) {
        let ask = (key, Cost::new(cost).unwrap());
        match act {
            Act::Allow => {
                let allowed = self.limiter.allow(ask);
                self.answer(allowed);
            }
            Act::AllowMany => {
                let answers = self.limiter.allow_many([ask, ("z", Cost::ONE), ask]);
                answers.into_iter().for_each(|allowed| self.answer(allowed));
            }
            Act::Check => {
                let allowed = self.limiter.check(ask).allowed;
                self.answer(allowed);
            }
            Act::Peek => drop(self.limiter.peek(ask)),
            Act::Acquire(timeout) => {
                let wait: Wait<'l> = match timeout {
                    None => Box::pin(self.limiter.acquire(ask)),
                    Some(seconds) => {
                        Box::pin(self.limiter.acquire_timeout(ask, SECOND * u32::from(seconds)))
                    }
                };
                self.waits.push((wait, 1));
                self.poll();
            }
            Act::Leave if self.waits.is_empty() => {}
            Act::Leave => {
                drop(self.waits.remove(0));
                self.expected.left += 1;
                self.poll();
            }
            Act::Advance(millis) => {
                let span = Duration::from_millis(millis.into());
                self.expected.time_waited += span * self.waits.len() as u32;
                self.clock.advance(span);
                self.poll();
            }
            Act::Reset => {
                self.limiter.reset(key);
                self.poll();
            }
        }
    }

    /// Asks those who wait, again as long as any goes.
    fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let before = self.waits.len();
            let mut ended = Vec::new();
            self.waits.retain_mut(|(wait, fresh)| match wait.as_mut().poll(&mut context) {
                Poll::Ready(answer) => {
                    ended.push((answer, *fresh));
                    false
                }
                Poll::Pending => {
                    self.expected.waited += std::mem::take(fresh);
                    true
                }
            });
            for (answer, fresh) in ended {
                match answer {
                    Ok(()) => self.expected.admitted += 1,
                    // Who was out of time while it waited has left; of several limiters another may
                    // have run dry meanwhile.
                    Err(_) if fresh == 0 && self.kind == FAIR => self.expected.left += 1,
                    Err(_) => self.expected.refused += 1,
                }
            }
            if self.waits.len() == before {
                return;
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn each_call_is_admitted_refused_left_or_waiting(kind in 0..KINDS, acts in acts()) {
        let clock = MockClock::new();
        let limiter = limiter(kind, &clock);
        let (waits, expected) = (Vec::new(), LimiterStats::default());
        let mut world = World { clock: &clock, limiter: &limiter, kind, waits, expected };
        for (act, key, cost) in acts {
            world.act(act, ["a", "b", "c", "d"][usize::from(key)], cost.into());

            let stats = limiter.stats();
            let expected = &world.expected;
            prop_assert_eq!(world.waits.len() as u64, stats.waiting, "{:?}", act);
            prop_assert_eq!(
                (expected.admitted, expected.refused, expected.left),
                (stats.admitted, stats.refused, stats.left), "{:?}", act
            );
            prop_assert_eq!(expected.time_waited, stats.time_waited, "{:?}", act);
            if kind < KINDS - 1 {
                prop_assert_eq!(expected.waited, stats.waited, "{:?}", act);
            }
        }
    }
}

#[test]
fn the_one_bucket_counts_takes_without_a_lock_beyond_what_its_word_holds() {
    let rate = Rate::per_second(1.0).unwrap();
    let builder = TokenBucket::builder(10_000, rate).clock(MockClock::new());
    let limiter = builder.per_key(false).build().unwrap();
    for calls in 1..=12_000_u64 {
        limiter.allow("ann");
        if calls % 997 == 0 || calls > 9_990 {
            let stats = limiter.stats();
            let expected = (calls.min(10_000), calls.saturating_sub(10_000));
            assert_eq!(expected, (stats.admitted, stats.refused));
        }
    }
}

#[test]
fn no_call_is_lost_where_threads_ask_together() {
    let rate = Rate::per_second(1.0).unwrap();
    for per_key in [true, false] {
        let builder = TokenBucket::builder(5_000, rate).clock(MockClock::new());
        let limiter = builder.per_key(per_key).build().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3_000 {
                        let _answer = limiter.allow("ann");
                    }
                });
            }
        });

        let stats = limiter.stats();
        assert_eq!((5_000, 7_000), (stats.admitted, stats.refused));
    }
}

#[test]
fn no_permit_is_lost_and_none_is_there_twice_where_threads_ask_for_the_same_keys() {
    // Soon two of them meet at a lock, and keys get places in front of the locks.
    let rate = Rate::per_second(1.0).unwrap();
    let limiter = TokenBucket::builder(500, rate).clock(MockClock::new()).build().unwrap();
    let keys: Vec<_> = (0..300).map(|rank| format!("user:{rank}")).collect();
    let ask = || {
        let asks = (0..200).flat_map(|round| keys.iter().map(move |key| (round, key)));
        let allowed = asks.filter(|(round, key)| match round % 20 {
            7 => limiter.check(key.as_str()).allowed,
            _ => limiter.allow(key.as_str()),
        });
        allowed.count()
    };
    let allowed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });

    assert_eq!(300 * 500, allowed);
    let stats = limiter.stats();
    assert_eq!((300 * 500, 300 * 300), (stats.admitted, stats.refused));
    assert!(keys.iter().all(|key| limiter.peek(key.as_str()).remaining == 0));
}

#[test]
fn what_a_permit_limits_is_counted_too() {
    let limiter = ConcurrencyLimiter::builder(1).max_waiting(1).build().unwrap();
    let permit = limiter.try_acquire("db");
    assert!(limiter.try_acquire("db").is_none());
    let mut context = Context::from_waker(Waker::noop());
    let mut first = Box::pin(limiter.acquire("db"));
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(Box::pin(limiter.acquire("db")).as_mut().poll(&mut context).is_ready());

    let stats = limiter.stats();
    assert_eq!((1, 2, 1, 0), (stats.admitted, stats.refused, stats.waiting, stats.left));
    assert_eq!((1, 1, 4), (stats.in_flight, stats.keys, stats.calls()));

    drop(permit);
    assert_eq!((2, 0), (limiter.stats().admitted, limiter.stats().waiting));
    drop(first);
    assert_eq!((0, 0), (limiter.stats().in_flight, limiter.stats().left));
}

#[test]
fn several_say_which_of_them_has_refused() {
    let (clock, rate) = (MockClock::new(), Rate::per_second(1.0).unwrap());
    let bucket = |capacity| TokenBucket::builder(capacity, rate).clock(&clock).build().unwrap();
    let pool = ConcurrencyLimiter::builder(1).clock(&clock).build().unwrap();
    let parts = [pool.into(), bucket(5).into(), bucket(2).into()];
    let limiter = HoldingLimiter::new(parts).unwrap();

    let permit = limiter.try_acquire("ann");
    assert!(limiter.try_acquire("ann").is_none(), "the pool refuses");
    drop(permit);
    drop(limiter.try_acquire("ann"));
    assert!(limiter.acquire_timeout_blocking("ann", Duration::ZERO).is_err(), "two are gone");

    let stats = limiter.stats();
    assert_eq!((2, 2), (stats.admitted, stats.refused));
    assert_eq!([0, 1, 1], stats.refused_by[..]);
}
