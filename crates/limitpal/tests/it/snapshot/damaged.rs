//! Bytes that are no snapshot, or one of another limiter: refused whole, whatever they are.

use std::time::Duration;

use limitpal::{
    FixedWindow, LeakyBucket, MockClock, Rate, SlidingWindowCounter, SlidingWindowLog, TokenBucket,
};
use proptest::prelude::*;

use super::cost;
use crate::evict::{KINDS, LIMIT, Limited, Memory, limited, unlimited};

/// The checksum as others write it down, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let bit = |sum: u32, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), bit))
}

/// Returns the bytes with the checksum that belongs to them.
fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &checksum(body).to_le_bytes()].concat()
}

fn used(kind: usize, clock: &MockClock) -> Limited {
    let used = unlimited(kind, clock);
    assert!(used.limiter.allow(("ann", cost(2))) && used.limiter.allow("bob"));
    used
}

#[test]
fn with_a_byte_flipped_or_missing_or_added_it_is_refused_whole() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let snapshot = (used(kind, &clock).snapshot)();
        let new = unlimited(kind, &clock);
        let is_refused = |bytes: &[u8]| {
            let refusal = (new.restore)(bytes).unwrap_err();
            assert_eq!("snapshot", refusal.parameter());
            assert_eq!(0, (new.len)());
        };
        for place in 0..snapshot.len() {
            for flip in [1, 0x80, 0xff] {
                let mut flipped = snapshot.clone();
                flipped[place] ^= flip;
                is_refused(&flipped);
            }
            is_refused(&snapshot[..place]);
            is_refused(&snapshot[place + 1..]);
        }
        is_refused(&[&*snapshot, &[0]].concat());

        (new.restore)(&snapshot).unwrap();
        assert_eq!(LIMIT - 2, new.limiter.peek("ann").remaining);
    }
}

#[test]
fn of_another_limiter_it_is_refused_by_name() {
    let (second, rate) = (Duration::from_secs(1), Rate::per_second(5.0).unwrap());
    let bucket = TokenBucket::new(10, rate).unwrap();
    let snapshot = bucket.snapshot();
    let said = |result: Result<(), limitpal::InvalidConfig>| result.unwrap_err().to_string();

    assert_eq!(
        "snapshot is of TokenBucket { capacity: 10, refill_rate: 5 per second }; \
         give one of LeakyBucket { capacity: 10, leak_rate: 5 per second }",
        said(LeakyBucket::new(10, rate).unwrap().restore(&snapshot))
    );
    let other = |capacity, rate| said(TokenBucket::new(capacity, rate).unwrap().restore(&snapshot));
    assert!(other(11, rate).contains("give one of TokenBucket { capacity: 11"));
    assert!(other(10, Rate::per_second(6.0).unwrap()).contains("6 per second"));
    for refusal in [
        said(FixedWindow::new(10, second).unwrap().restore(&snapshot)),
        said(SlidingWindowCounter::new(10, second).unwrap().restore(&snapshot)),
        said(SlidingWindowLog::new(10, second).unwrap().restore(&snapshot)),
    ] {
        assert!(refusal.starts_with("snapshot is of TokenBucket"), "{refusal}");
    }
    let one = TokenBucket::builder(10, rate).per_key(false).build().unwrap();
    assert_eq!(
        "snapshot is of per_key true; give one of per_key false",
        said(one.restore(&snapshot))
    );
}

#[test]
fn of_another_version_it_is_refused_by_its_number() {
    let clock = MockClock::new();
    let snapshot = (used(0, &clock).snapshot)();
    let mut body = snapshot[..snapshot.len() - 4].to_vec();
    assert_eq!(snapshot, sealed(&body), "the checksum is what it says it is");
    body[8] = 7;

    let refusal = (unlimited(0, &clock).restore)(&sealed(&body)).unwrap_err();
    assert_eq!("snapshot is of version 7; give one of version 1", refusal.to_string());
}

/// No two keys of ours lie so; a table of such would grow until there is no memory left.
#[test]
fn keys_that_nobody_has_are_refused() {
    const RECORD: usize = 33;
    let clock = MockClock::new();
    let memory = Memory { max_buckets: Some(1_000), evict: limitpal::Evict::NearestNew };
    let make = || limited(0, memory, &clock);
    let old = make();
    assert!((0..200).all(|key| old.limiter.allow(&*format!("key {key}"))));
    let snapshot = (old.snapshot)();
    let mut body = snapshot[..snapshot.len() - 4].to_vec();
    let first = body.len() - 200 * RECORD;
    for record in body[first..].chunks_mut(RECORD) {
        record[2..9].fill(0xff);
    }

    assert!((make().restore)(&sealed(&body)).is_err());
    (make().restore)(&snapshot).unwrap();
}

/// A float is the nearest fraction of a small denominator, which need not be the one that was given.
#[test]
fn of_a_rate_that_only_looks_the_same_it_is_refused() {
    let exact = Rate::new(999_983, Duration::from_nanos(999_999_999_989)).unwrap();
    let float = Rate::per_second(exact.as_per_second()).unwrap();
    assert_ne!(exact, float);
    let [exact, float] = [exact, float].map(|rate| TokenBucket::new(1, rate).unwrap());

    let refusal = exact.restore(&float.snapshot()).unwrap_err().to_string();
    assert!(refusal.ends_with("write the rate in the same words"), "{refusal}");
}

#[test]
fn a_limiter_that_was_used_is_left_as_it_is() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let (old, new) = (used(kind, &clock), unlimited(kind, &clock));
        assert!(new.limiter.allow(("cid", cost(3))));

        let refusal = (new.restore)(&(old.snapshot)()).unwrap_err();

        assert_eq!(
            "snapshot is given to a limiter that was used already; \
             restore it into a new one, before its first call",
            refusal.to_string()
        );
        assert_eq!(LIMIT - 3, new.limiter.peek("cid").remaining);
        assert_eq!(1, (new.len)());
        // Forgetting all is no help: others may be about to call with what they know of it.
        new.limiter.reset_all();
        assert!((new.restore)(&(old.snapshot)()).is_err());
    }
}

#[test]
fn its_own_snapshot_is_taken_by_one_that_has_forgotten_all() {
    for kind in 0..KINDS {
        let clock = MockClock::new();
        let own = used(kind, &clock);
        let snapshot = (own.snapshot)();
        assert!((own.restore)(&snapshot).is_err());
        own.limiter.reset_all();
        (own.restore)(&snapshot).unwrap();
        assert_eq!(LIMIT - 2, own.limiter.peek("ann").remaining);
    }
}

#[test]
fn more_keys_than_there_is_room_for_are_refused() {
    let clock = MockClock::new();
    let snapshot = (used(0, &clock).snapshot)();
    let memory = Memory { max_buckets: Some(1), evict: limitpal::Evict::NearestNew };
    let small = limited(0, memory, &clock);

    let refusal = (small.restore)(&snapshot).unwrap_err();
    assert_eq!("max_buckets", refusal.parameter());
    assert_eq!(
        "max_buckets is 1; give at least 2, as many as the snapshot has",
        refusal.to_string()
    );
    assert!(small.limiter.allow("cid"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn bytes_of_any_kind_never_panic(
        kind in 0..KINDS,
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
        now in any::<i64>(),
    ) {
        let clock = super::another_clock(now);
        let snapshot = (used(kind, &MockClock::new()).snapshot)();
        let mut body = snapshot[..snapshot.len() - 4].to_vec();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        for bytes in [bytes.clone(), sealed(&bytes), sealed(&body), sealed(&[body, tail].concat())] {
            let new = unlimited(kind, &clock);
            if (new.restore)(&bytes).is_ok() {
                // Whatever it means, it can be asked, waited for and written down again.
                for name in ["ann", "bob"] {
                    new.limiter.check((name, cost(2)));
                    let _ = new.limiter.acquire_timeout_blocking(name, Duration::from_micros(30));
                }
                (new.snapshot)();
                clock.advance(Duration::from_secs(1_000_000_000));
                new.limiter.allow("ann");
            } else {
                prop_assert_eq!(0, (new.len)());
            }
        }
    }
}
