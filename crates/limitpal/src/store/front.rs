//! Places in front of the locks: a key that has one is taken from without its shard's lock.
//!
//! Keys that threads use at the same time lie under the same locks, and whoever comes next fetches
//! the lock's line from another core: that costs more than all else. So once two have met at a
//! lock, keys in use get a place each, where the level is a word as that of `direct` is. Whoever
//! wants more of such a key than to take from it takes the shard's lock, which gives the level back
//! to the shard first; a take that finds the word changed under its hands does so too, since a key
//! that two fight for is better off behind the lock.

use std::num::NonZeroU64;
use std::time::Duration;

use super::Store;
use super::answer::{Entered, Place, Request};
use super::shard::Shard;
use super::stored::{Front, Stored};
use super::timeline::bounded;
use super::word::{HELD, NEXT, NUMBER, ONE, OURS, level, tag, tagged, taken, word};
use crate::algorithm::{Bucket, KeptLevel, Mark};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::sync::AtomicU128;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::time::Instant;

/// How many places each shard has, a power of two: one, where a model is to see keys that fight for it.
const PLACES: usize = if cfg!(loom) { 1 } else { 128 };
/// How many calls for keys of a place pass by the lock before one of them gets the place, which is
/// somebody else's or was fought for: so few of them pay for a change of places.
const REST: u32 = if cfg!(any(loom, always_in_front)) { 0 } else { 256 };

/// The places in front of all shards.
#[derive(Debug)]
pub struct Places(Box<[Spot]>);

/// A place: whose it is, and the word. Whose it is changes only while the word is held, and the word
/// changes by a take, or under the shard's lock.
#[derive(Debug)]
#[repr(align(32))]
struct Spot {
    word: AtomicU128,
    low: AtomicU64,
    high: AtomicU32,
    /// How many calls it is left as it is, counted under the lock.
    rest: AtomicU32,
}

impl Places {
    #[inline]
    fn spot(&self, key: Fingerprint, shard: usize) -> &Spot {
        &self.0[shard * PLACES + (key.low.get() as usize & (PLACES - 1))]
    }
}

impl Front<Bucket> for Places {
    fn new(shards: usize) -> Option<Self> {
        Some(Self((0..shards * PLACES).map(|_| Spot::new()).collect()))
    }

    // As with `direct`: a take leaves the level ahead of its reading.
    #[inline]
    fn take(
        &self,
        key: Fingerprint,
        shard: usize,
        take: impl FnOnce(&mut KeptLevel) -> Option<Mark>,
    ) -> bool {
        let spot = self.spot(key, shard);
        let old = spot.word.load(Ordering::Acquire);
        // Whoever sees an old word and a new key finds the word changed.
        if tag(old) & HELD != 0 || spot.key() != Some(key) {
            return false;
        }
        let Some(Mark { after, .. }) = take(&mut KeptLevel::of(level(old))) else { return false };
        let new = word(after, tag(old).wrapping_add(ONE));
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        spot.word.compare_exchange(old, new, success, failure).is_ok()
    }

    fn hold(&self, shard: &mut Shard, index: usize, key: Fingerprint) {
        let spot = self.spot(key, index);
        if spot.key() == Some(key) {
            spot.hold(shard);
        }
    }

    fn hold_all(&self, shard: &mut Shard, index: usize) {
        let spots = &self.0[index * PLACES..][..PLACES];
        spots.iter().for_each(|spot| spot.hold(shard));
    }

    fn settle(&self, shard: &mut Shard, index: usize, key: Fingerprint) {
        let spot = self.spot(key, index);
        match spot.rest.load(Ordering::Relaxed) {
            0 => spot.settle(shard, key),
            rest => spot.rest.store(rest - 1, Ordering::Relaxed),
        }
    }
}

impl<A: Stored> Store<A> {
    /// As `allow`, where keys may have places in front of the locks.
    #[inline(never)] // stores without a front do not prepare for it
    pub(super) fn allow_in_front<E>(
        &self,
        front: &A::Front,
        key: Fingerprint,
        cost: u64,
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<bool, E> {
        let (settings, index, now) = (&self.settings, self.index(key), read()?);
        let take = |state: &mut A::State| settings.bucket.take(state, cost, bounded(now));
        if front.take(key, index, take) {
            return Ok(true);
        }
        let mut first = Some(now);
        let read = || first.take().map_or_else(&mut read, Ok);
        let taken = self.with_room(key, read, |shard, now| {
            let taken = shard.allow(settings, key, cost, now);
            front.settle(shard, index, key);
            taken
        })?;
        Ok(taken.flatten().is_some())
    }

    /// As `enter_or`, where keys may have places in front of the locks.
    #[inline(never)] // as `allow_in_front`
    pub(super) fn enter_in_front<E>(
        &self,
        front: &A::Front,
        waits: &mut Option<(Place, Duration)>,
        (key, request): (Fingerprint, Request),
        mut read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Entered, E> {
        let (settings, index, now) = (&self.settings, self.index(key), read()?);
        let take =
            |state: &mut A::State| settings.bucket.take_in_turn(state, request.cost, bounded(now));
        if front.take(key, index, take) {
            return Ok(Entered::Now);
        }
        let mut first = Some(now);
        let read = || first.take().map_or_else(&mut read, Ok);
        let entered = self.with(key, read, |shard, now| {
            let entered = shard.enter(settings, key, request, now, waits);
            front.settle(shard, index, key);
            entered
        })?;
        // Where keys have places, there is room for any number of them.
        Ok(entered.unwrap_or(Entered::Refused(RetryAfter::Unknown)))
    }
}

impl Spot {
    fn new() -> Self {
        Self {
            word: AtomicU128::new(tagged(HELD | OURS)),
            low: AtomicU64::new(0),
            high: AtomicU32::new(0),
            rest: AtomicU32::new(0),
        }
    }

    /// Returns whose it is, if it is anybody's.
    #[inline]
    fn key(&self) -> Option<Fingerprint> {
        let low = NonZeroU64::new(self.low.load(Ordering::Relaxed))?;
        Some(Fingerprint { low, high: self.high.load(Ordering::Relaxed) })
    }

    /// Gives the level back to the shard.
    fn hold(&self, shard: &mut Shard) {
        if tag(self.word.load(Ordering::Relaxed)) & OURS != 0 {
            return;
        }
        let old = self.word.fetch_or(tagged(HELD | OURS), Ordering::AcqRel);
        shard.admitted += taken(tag(old));
        if tag(old) & HELD != 0 {
            // It is no less in use for having no room to count more.
            self.rest.store(0, Ordering::Relaxed);
        }
        if let Some(slot) = self.key().and_then(|key| shard.slot(key)) {
            slot.state = KeptLevel::of(level(old));
        }
    }

    /// Makes it the place of a key, if there is nothing to know of that but its level.
    #[cold]
    #[inline(never)]
    fn settle(&self, shard: &mut Shard, key: Fingerprint) {
        if shard.own.is_some() || shard.lines.contains_key(&key) {
            return;
        }
        self.hold(shard);
        let Some(slot) = shard.slot(key) else { return };
        self.rest.store(REST, Ordering::Relaxed);
        self.low.store(key.low.get(), Ordering::Relaxed);
        self.high.store(key.high, Ordering::Relaxed);
        // A take that read the word before it was held finds another number.
        let number = tag(self.word.load(Ordering::Relaxed)).wrapping_add(NEXT) & NUMBER;
        self.word.store(word(slot.state.level(), number), Ordering::Release);
    }
}

#[cfg(all(test, not(loom), not(always_in_front)))]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use super::*;
    use crate::algorithm::Pace;
    use crate::rate::Rate;
    use crate::store::{Scope, StoreOptions};

    const KEY: Fingerprint = Fingerprint::chosen(1, 0);

    fn store(options: StoreOptions, one_bucket: bool, steady_clock: bool) -> Store {
        let rate = Rate::per_second(1.0).expect("a good rate");
        let bucket = Bucket::new(1000, rate, Pace::Burst).expect("a good bucket");
        let scope = Scope { one_bucket, steady_clock };
        Store::new(bucket, options, scope).expect("good options")
    }

    fn allow(store: &Store, key: Fingerprint) -> bool {
        let read = || Ok::<_, Infallible>(Instant::from_nanos(0));
        let Ok(is_allowed) = store.allow(key, 1, read);
        is_allowed
    }

    fn front(store: &Store) -> &Places {
        store.front.get().expect("two have met")
    }

    /// Returns whether a key is in its place.
    fn is_in_front(store: &Store, key: Fingerprint) -> bool {
        let spot = front(store).spot(key, store.index(key));
        spot.key() == Some(key) && tag(spot.word.load(Ordering::Relaxed)) & HELD == 0
    }

    #[test]
    fn each_shard_has_places_of_its_own() {
        let places = Places::new(4).expect("buckets have such a thing");
        let lows = 1..=PLACES as u64;
        let all = (0..4).flat_map(|shard| lows.clone().map(move |low| (shard, low)));
        let spots = all.map(|(shard, low)| {
            std::ptr::from_ref(places.spot(Fingerprint::chosen(low, 0), shard))
        });
        assert_eq!(256 << 10, size_of::<Spot>() * PLACES * crate::shards::MANY);
        assert_eq!(4 * PLACES, spots.collect::<std::collections::HashSet<_>>().len());
    }

    #[test]
    fn there_is_one_once_two_have_met_at_a_lock() {
        let store = store(StoreOptions::default(), false, true);
        assert!(allow(&store, KEY));
        assert!(store.front.get().is_none());
        std::thread::scope(|scope| {
            let held = store.lock(store.index(KEY));
            scope.spawn(|| assert!(allow(&store, KEY)));
            while store.front.get().is_none() {
                std::thread::yield_now();
            }
            drop(held);
        });
        assert!(allow(&store, KEY) && is_in_front(&store, KEY));
    }

    #[test]
    fn a_place_is_left_as_it_is_for_so_many_calls() {
        let store = store(StoreOptions::default(), false, true);
        let other = Fingerprint::chosen(1 + PLACES as u64, 0);
        store.open_front();
        assert!(allow(&store, KEY) && is_in_front(&store, KEY));
        for _ in 0..REST {
            assert!(allow(&store, other) && is_in_front(&store, KEY));
        }
        assert!(allow(&store, other) && is_in_front(&store, other));
        assert!(allow(&store, KEY) && is_in_front(&store, other));
    }

    #[test]
    fn a_place_that_has_no_room_to_count_more_is_the_keys_again_at_once() {
        let store = store(StoreOptions::default(), false, true);
        store.open_front();
        assert!(allow(&store, KEY));
        let spot = front(&store).spot(KEY, store.index(KEY));
        let level = level(spot.word.load(Ordering::Relaxed));
        spot.word.store(word(level, HELD - ONE), Ordering::Relaxed);
        assert!(allow(&store, KEY) && !is_in_front(&store, KEY));
        assert!(allow(&store, KEY) && is_in_front(&store, KEY));
        assert_eq!(u64::from(HELD / ONE) + 2, store.lock(store.index(KEY)).admitted);
    }

    #[test]
    fn stores_that_forget_or_whose_clock_may_step_back_have_none() {
        let second = Duration::from_secs(1);
        let ttl = StoreOptions { ttl: Some(second), ..StoreOptions::default() };
        let max = StoreOptions { max_buckets: Some(10), ..StoreOptions::default() };
        let plain = StoreOptions::default();
        for store in [
            store(ttl, false, true),
            store(max, false, true),
            store(plain, true, true),
            store(plain, false, false),
        ] {
            store.open_front();
            assert!(store.front.get().is_none());
        }
    }
}
