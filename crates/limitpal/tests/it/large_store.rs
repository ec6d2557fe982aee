//! A store at its cap: what a newcomer costs, and whose place it takes.

use std::time::Duration;

use limitpal::parts::{Bucket, Keyed, KeyedOptions, Pace, Request, StoreOptions, Turn};
use limitpal::{Evict, MockClock, Rate, SharedClock};

/// The most slots that one call may look at in a store of more than 1,024 buckets.
const MOST: u64 = 256;

struct Full {
    clock: MockClock,
    keyed: Keyed<SharedClock>,
    newcomers: u64,
}

impl Full {
    /// A store with a bucket in each place, all used now; each is as new after a second.
    fn new(max_buckets: usize) -> Self {
        Self::with(max_buckets, Evict::NearestNew)
    }

    fn with(max_buckets: usize, evict: Evict) -> Self {
        let clock = MockClock::new();
        let bucket = Bucket::new(1, Rate::per_second(1.0).unwrap(), Pace::Burst).unwrap();
        let most = Some(max_buckets);
        let store = StoreOptions { max_buckets: most, evict, ..StoreOptions::default() };
        let options = KeyedOptions { store, ..KeyedOptions::default() };
        let keyed = Keyed::new(bucket, options, clock.clone().into()).unwrap();
        let mut full = Self { clock, keyed, newcomers: 0 };
        for _ in 0..max_buckets {
            full.newcomer();
        }
        assert_eq!(0, full.keyed.store().evicted_live());
        full
    }

    fn call(&self, name: &str) -> bool {
        let Ok(key) = self.keyed.fingerprint(name);
        let Ok(allowed) = self.keyed.allow(key, 1);
        allowed
    }

    /// Lets a new key in; returns how many slots were looked at.
    fn newcomer(&mut self) -> u64 {
        let before = self.keyed.store().looks();
        self.newcomers += 1;
        assert!(self.call(&format!("newcomer {}", self.newcomers)), "a newcomer is let in");
        self.keyed.store().looks() - before
    }

    /// Lets many in; returns the slots looked at in the mean, and in the worst case.
    fn flood(&mut self, newcomers: u64, pause: Duration) -> (u64, u64) {
        let (mut sum, mut most) = (0, 0);
        for _ in 0..newcomers {
            self.clock.advance(pause);
            let looks = self.newcomer();
            (sum, most) = (sum + looks, most.max(looks));
        }
        (sum.div_ceil(newcomers), most)
    }

    fn len(&self) -> usize {
        let Ok(len) = self.keyed.remembered();
        len
    }
}

#[test]
fn a_newcomer_looks_at_a_few_slots_if_all_are_in_use() {
    for max_buckets in [10_000, 100_000] {
        let mut full = Full::new(max_buckets);
        let (mean, most) = full.flood(max_buckets as u64, Duration::ZERO);

        assert!(mean <= 9 && most <= MOST, "{max_buckets}: {mean} in the mean, {most} at most");
        assert_eq!(max_buckets as u64, full.keyed.store().evicted_live());
        assert_eq!(max_buckets, full.len());
    }
}

#[test]
fn a_newcomer_looks_at_a_few_slots_if_all_are_idle() {
    for max_buckets in [10_000, 100_000] {
        let mut full = Full::new(max_buckets);
        full.clock.advance(Duration::from_secs(1));
        let (mean, most) = full.flood(max_buckets as u64 / 2, Duration::ZERO);

        assert!(mean <= 9 && most <= MOST, "{max_buckets}: {mean} in the mean, {most} at most");
        assert_eq!(0, full.keyed.store().evicted_live());
    }
}

#[test]
fn no_call_looks_at_more_than_so_many_slots_whatever_the_pace() {
    // Buckets become idle as fast as newcomers come, a little faster, and much slower.
    for micros in [1, 90, 100, 110, 1000] {
        let mut full = Full::new(10_000);
        let (_, most) = full.flood(30_000, Duration::from_micros(micros));

        assert!(most <= MOST, "every {micros} us: {most}");
        assert_eq!(10_000, full.len());
    }
}

#[test]
fn while_one_in_sixteen_is_idle_nobody_in_use_is_forgotten() {
    let mut full = Full::new(16_000);
    full.clock.advance(Duration::from_millis(999));
    for each in 1..=16_000 {
        if each % 8 != 0 {
            assert!(!full.call(&format!("newcomer {each}")), "it is not as new yet");
        }
    }
    full.clock.advance(Duration::from_millis(1));
    // All are as new now; those of them that are used at once are not.
    for each in 1..=16_000 {
        if each % 8 != 0 {
            assert!(full.call(&format!("newcomer {each}")));
        }
    }
    let (_, most) = full.flood(1_000, Duration::ZERO);

    assert_eq!(0, full.keyed.store().evicted_live());
    assert!(most <= MOST, "{most}");
}

#[test]
fn while_one_in_twelve_is_idle_nobody_in_use_is_forgotten_however_long_it_has_been_full() {
    for max_buckets in [1_025, 1_700, 5_000] {
        let mut full = Full::new(max_buckets);
        full.flood(20_000, Duration::ZERO);
        for _ in 0..40 {
            // All are as new; then eleven in twelve are used.
            full.clock.advance(Duration::from_secs(1));
            let known: Vec<_> =
                (1..=full.newcomers).map(|each| format!("newcomer {each}")).collect();
            let known = known.iter().filter(|name| {
                let Ok(key) = full.keyed.fingerprint(name);
                full.keyed.contains(key) == Ok(true)
            });
            for (rank, name) in known.enumerate() {
                assert!(rank % 12 == 0 || full.call(name));
            }
            let before = full.keyed.store().evicted_live();
            let (_, most) = full.flood(4, Duration::ZERO);

            assert_eq!(before, full.keyed.store().evicted_live(), "{max_buckets}");
            assert!(most <= MOST, "{max_buckets}: {most}");
        }
    }
}

#[test]
fn a_newcomer_looks_at_nothing_where_somebody_waits_for_every_bucket() {
    let full = Full::new(1_100);
    let read = || Ok::<_, std::convert::Infallible>(full.clock.now());
    let request = Request { cost: 1, timeout: None, fixed: false, ticket: None };
    for each in 1..=1_100 {
        let Ok(key) = full.keyed.fingerprint(&format!("newcomer {each}"));
        let Ok(turn) = full.keyed.store().reserve(key, request, read);
        assert!(matches!(turn, Turn::Wait(..)));
    }
    let before = full.keyed.store().looks();

    assert!(!full.call("one more"));
    assert_eq!(before, full.keyed.store().looks());
}

#[test]
fn a_newcomer_who_is_refused_has_looked_at_a_few_slots() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        let (small, large) = (Full::with(1_000, evict), Full::with(10_000, evict));
        for rank in 0..20_000 {
            // A bucket is as new after a second, and serves one.
            large.clock.advance(Duration::from_micros([0, 10, 90, 110][rank % 4]));
            let before = large.keyed.store().looks();
            let stranger = large.call(&format!("stranger {rank}"));
            assert!(large.keyed.store().looks() - before <= MOST);
            assert!(rank > 10_000 || !stranger && !small.call(&format!("stranger {rank}")));
        }

        assert_eq!((1_000, 10_000), (small.len(), large.len()));
        assert!(small.keyed.store().looks() <= 40_000, "{}", small.keyed.store().looks());
        assert_eq!(0, large.keyed.store().evicted_live());
    }
}

#[test]
fn while_one_in_sixteen_is_idle_no_newcomer_is_refused() {
    for evict in [Evict::RefuseNew, Evict::Inherit] {
        let mut full = Full::with(16_000, evict);
        full.clock.advance(Duration::from_secs(1));
        for each in 1..=16_000 {
            assert!(each % 8 == 0 || full.call(&format!("newcomer {each}")));
        }
        let (_, most) = full.flood(1_000, Duration::ZERO);

        assert_eq!((0, 0), (full.keyed.store().evicted_live(), full.keyed.store().refused_new()));
        assert!(most <= MOST, "{most}");
    }
}

#[test]
fn a_small_store_forgets_the_least_recently_used_of_the_idle() {
    let mut full = Full::new(1_000);
    full.clock.advance(Duration::from_secs(1));
    assert!(full.call("newcomer 1"), "used last");
    full.clock.advance(Duration::from_secs(1));
    for each in 2..1_000 {
        full.newcomer();
        let Ok(gone) = full.keyed.fingerprint(&format!("newcomer {each}"));
        let Ok(is_known) = full.keyed.contains(gone);
        assert!(!is_known, "{each} goes in its order");
    }
    let Ok(last) = full.keyed.fingerprint("newcomer 1");
    assert_eq!(Ok(true), full.keyed.contains(last));
    assert_eq!(0, full.keyed.store().evicted_live());
}

#[test]
fn a_newcomer_to_a_small_store_looks_at_a_few_slots_in_the_mean() {
    let mut full = Full::new(1_000);
    let (mean, most) = full.flood(3_000, Duration::ZERO);
    assert!(mean <= 2 && most <= 4, "all in use: {mean} in the mean, {most} at most");

    full.clock.advance(Duration::from_secs(1));
    let (mean, most) = full.flood(500, Duration::ZERO);
    assert!(mean <= 4 && most <= 2_000, "all idle: {mean} in the mean, {most} at most");
}

#[test]
fn what_was_taken_before_the_bucket_was_forgotten_gives_nothing_to_its_successor() {
    let mut full = Full::new(2_000);
    let Ok(key) = full.keyed.fingerprint("ann");
    let read = || Ok::<_, std::convert::Infallible>(full.clock.now());
    let Ok(Some(grant)) = full.keyed.store().take(key, 1, read) else { panic!("a newcomer") };
    while full.keyed.contains(key) == Ok(true) {
        full.newcomer();
    }
    assert!(full.call("ann") && !full.call("ann"), "forgotten in use, it is a newcomer");

    full.keyed.give_back(grant);
    assert!(!full.call("ann"), "the earlier bucket's take is none of this one's");
}
