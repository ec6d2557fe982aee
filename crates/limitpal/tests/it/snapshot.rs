//! What is written down of a limiter, and what another makes of it.

mod damaged;
mod laws;

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use limitpal::{
    Cost, Evict, FixedWindow, Instant, LeakyBucket, MockClock, Rate, SlidingWindowLog, TokenBucket,
};

use crate::conformance::tasks::Tasks;
use crate::evict::{KINDS, LIMIT, Memory, PER, limited, unlimited};

/// A clock that reads something else.
fn another_clock(nanos: i64) -> MockClock {
    MockClock::starting_at(Instant::from_nanos(nanos))
}

fn cost(cost: u64) -> Cost {
    Cost::new(cost).unwrap()
}

#[test]
fn what_is_restored_goes_on_where_it_was() {
    for kind in 0..KINDS {
        let clock = another_clock(123_456_789);
        let old = unlimited(kind, &clock);
        assert!(old.limiter.allow(("ann", cost(3))) && old.limiter.allow(("bob", cost(1))));

        let clock = another_clock(-77);
        let new = unlimited(kind, &clock);
        (new.restore)(&(old.snapshot)()).unwrap();

        assert_eq!(2, (new.len)());
        assert_eq!(1, new.limiter.peek("ann").remaining, "{:?}", new.limiter);
        assert_eq!(3, new.limiter.peek("bob").remaining);
        assert_eq!(LIMIT, new.limiter.peek("cid").remaining);
        assert!(new.limiter.allow("ann") && !new.limiter.allow("ann"));
    }
}

#[test]
fn what_is_as_new_is_not_in_it() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let old = unlimited(kind, &clock);
        let empty = (old.snapshot)().len();
        assert!(old.limiter.allow("ann"));
        assert!((old.snapshot)().len() > empty);
        clock.advance(2 * PER);
        assert_eq!(empty, (old.snapshot)().len());

        let new = unlimited(kind, &clock);
        (new.restore)(&(old.snapshot)()).unwrap();
        assert_eq!(0, (new.len)());
    }
}

#[test]
fn a_restored_store_of_any_size_keeps_to_its_cap_and_its_policy() {
    for kind in 0..KINDS {
        for most in [1_usize, 3, 1_500] {
            let clock = MockClock::new();
            let memory = Memory { max_buckets: Some(most), evict: Evict::RefuseNew };
            let old = limited(kind, memory, &clock);
            assert!((0..most).all(|rank| old.limiter.allow(&*format!("key {rank}"))));
            let new = limited(kind, memory, &clock);
            (new.restore)(&(old.snapshot)()).unwrap();

            assert_eq!(most, (new.len)());
            assert!(!new.limiter.allow("one more") && new.limiter.allow("key 0"));
            assert_eq!(1, (new.refused_new)());
            clock.advance(2 * PER);
            assert!(new.limiter.allow("one more"), "they are as new");
            assert_eq!((most, 0), ((new.len)(), (new.evicted_live)()));
        }
    }
}

#[test]
fn of_those_restored_the_least_recently_used_goes_first() {
    let clock = MockClock::new();
    let make = || {
        let memory = Memory { max_buckets: Some(3), evict: Evict::NearestNew };
        limited(0, memory, &clock)
    };
    let old = make();
    for name in ["ann", "bob", "cid", "ann"] {
        assert!(old.limiter.allow((name, cost(if name == "ann" { 1 } else { 2 }))));
    }
    let new = make();
    (new.restore)(&(old.snapshot)()).unwrap();

    assert!(new.limiter.allow("dan"));
    assert_eq!(2, new.limiter.peek("ann").remaining, "it was used after bob, all have taken two");
    assert_eq!(2, new.limiter.peek("cid").remaining);
    assert_eq!(LIMIT, new.limiter.peek("bob").remaining);
}

#[test]
fn one_bucket_for_everybody_is_restored_as_one() {
    let rate = Rate::per_second(1.0).unwrap();
    let make = || {
        let builder = TokenBucket::builder(5, rate).clock(MockClock::new());
        builder.per_key(false).build().unwrap()
    };
    let (old, new) = (make(), make());
    assert!(old.allow(("ann", cost(3))));
    new.restore(&old.snapshot()).unwrap();
    assert_eq!(2.0, new.tokens("bob"));
    assert!(new.allow(("cid", cost(2))) && !new.allow("ann"));

    let (old, new) = [(); 2].map(|()| LeakyBucket::builder(5, rate).per_key(false)).into();
    let clock = MockClock::new();
    let (old, new) = (old.clock(&clock).build().unwrap(), new.clock(&clock).build().unwrap());
    assert!(old.allow(("ann", cost(3))));
    new.restore(&old.snapshot()).unwrap();
    assert!(!new.allow(("bob", cost(3))) && new.allow(("bob", cost(2))));
}

/// Its old window had ended and was not in the snapshot, or the key was forgotten altogether; the
/// new clock's next boundary is a nanosecond away.
#[test]
fn no_window_of_the_clock_is_cut_short_by_a_restart() {
    let nanos = |nanos: u64| Duration::from_nanos(nanos);
    let all = ("ann", cost(LIMIT.into()));
    for max_buckets in [None, Some(1)] {
        let clock = MockClock::new();
        let old = limited(2, Memory { max_buckets, evict: Evict::NearestNew }, &clock);
        clock.advance(PER - nanos(1));
        assert!(old.limiter.allow(all));
        clock.advance(nanos(1));
        assert!(old.limiter.allow("bob"));

        let clock = another_clock(7 * PER.as_nanos() as i64 - 1);
        let new = FixedWindow::builder(LIMIT, PER).clock(&clock).build().unwrap();
        new.restore(&(old.snapshot)()).unwrap();
        new.reconfigure().limit(LIMIT).apply().unwrap();

        assert!(new.allow(all));
        clock.advance(PER);
        assert_eq!(Some(nanos(1)), new.peek("ann").retry_after.duration());
        assert!(!new.allow("ann"));
        clock.advance(nanos(1));
        assert!(new.allow(all), "by then it is the clock's again");
        assert_eq!(PER, new.peek("ann").reset_after);
    }
}

/// A place in line is nobody's in another process. A bucket's level has it taken already; a window
/// counts what went.
#[test]
fn those_who_wait_are_not_in_it_but_what_waits_for_a_bucket_counts() {
    for (kind, left_later) in [(0, 3), (1, 3), (2, 4), (5, 4)] {
        let clock = MockClock::new();
        let old = unlimited(kind, &clock);
        assert!(old.limiter.allow(("ann", cost(LIMIT.into()))));
        let mut waiter = Tasks::new();
        let own = old.limiter.clone();
        waiter.spawn("waiter", async move { own.acquire("ann").await.is_ok() });
        waiter.settle(|_, _| panic!("there was nothing to wait for"));

        let clock = another_clock(5);
        let new = unlimited(kind, &clock);
        (new.restore)(&(old.snapshot)()).unwrap();
        assert!(!new.limiter.allow("ann"));
        // By then all that had gone counts no more; of a bucket one is still taken.
        clock.advance(if kind == 2 { 2 * PER } else { PER });

        assert_eq!(left_later, new.limiter.peek("ann").remaining, "{:?}", new.limiter);
    }
}

/// What others do meanwhile is in it or not, key by key, and never half.
#[test]
fn a_snapshot_taken_among_threads_has_each_key_as_it_was_at_some_instant() {
    const KEYS: usize = 500;
    let make = || SlidingWindowLog::new(1_000, Duration::from_secs(3_600)).unwrap();
    let (limiter, taken) = (make(), [(); KEYS].map(|()| AtomicU32::new(0)));
    let name = |key: usize| format!("key {key}");
    thread::scope(|scope| {
        let taker = scope.spawn(|| {
            for _ in 0..200 {
                for (key, taken) in taken.iter().enumerate() {
                    assert!(limiter.allow(&*name(key)));
                    taken.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        while !taker.is_finished() {
            let read = || taken.each_ref().map(|taken| taken.load(Ordering::SeqCst));
            let (before, snapshot, after) = (read(), limiter.snapshot(), read());
            let restored = make();
            restored.restore(&snapshot).unwrap();
            for key in 0..KEYS {
                let count = 1_000 - restored.peek(&*name(key)).remaining;
                // One is counted by us just after it was taken.
                let at_some_instant = before[key]..=after[key] + 1;
                assert!(at_some_instant.contains(&count), "{count}, not in {at_some_instant:?}");
            }
        }
    });
}

#[test]
fn nobody_sees_half_of_what_is_restored() {
    let make = || FixedWindow::new(1, Duration::from_secs(3_600)).unwrap();
    let old = make();
    let names: Vec<_> = (0..2_000).map(|key| format!("key {key}")).collect();
    assert!(names.iter().all(|name| old.allow(&**name)));
    let snapshot = old.snapshot();
    for _ in 0..20 {
        let new = make();
        thread::scope(|scope| {
            let other = scope.spawn(|| names.iter().filter(|name| new.allow(&***name)).count());
            let restored = new.restore(&snapshot).is_ok();
            let let_in = other.join().unwrap();

            // Either it was there before the first of them, or it was refused.
            assert_eq!(if restored { 0 } else { names.len() }, let_in);
        });
    }
}
