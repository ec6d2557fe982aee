//! Slots in the order of their keys' hashes, each as near as it can be to where its hash says: a
//! look at a key is a look at one place in memory.
//!
//! Linear probing with the order of Amble and Knuth ("Ordered hash tables", 1974): a key that is
//! not there is known by the first one behind it. A hash says where by its share of all hashes,
//! so a table that grows is copied from end to end in one sweep, and can grow in small steps.

#[cfg(all(test, not(loom)))]
mod tests;

use std::mem::swap;

use super::slot::Slot;
use crate::shards::Fingerprint;

/// A smaller table doubles when it is half full: it is in the cache, where a look that need not go
/// on to the next place counts for more than a few bytes. A larger one is four fifths full before it
/// grows, and grows by an eighth to three eighths.
const SMALL: usize = 256;
/// Places behind the last one that a hash names, for those that do not fit in there.
const SPILL: usize = 32;

/// What is remembered of each key.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: Box<[Option<Slot<T>>]>,
    /// How many of the places a hash may name: the others are the spill.
    homes: u32,
    /// Short, as `homes` is: a shard's first line of the cache is full.
    len: u32,
}

/// Returns whether keys, in their order, fit in a table of twice as many places and lie near their
/// homes there. Those of a fingerprinter do; others might make it grow without end.
pub(super) fn fits(keys: &[Fingerprint]) -> bool {
    const NEAR: usize = 1024;
    let (homes, mut next) = (2 * keys.len() + SPILL, 0);
    keys.iter().all(|key| {
        let home = home(*key, homes);
        let place = next.max(home);
        next = place + 1;
        place < homes + SPILL && place - home < NEAR
    })
}

/// Returns where, of so many homes, the hash of a key says that it is.
#[inline]
fn home(key: Fingerprint, homes: usize) -> usize {
    ((u128::from(key.low.get()) * homes as u128) >> u64::BITS) as usize
}

/// Which slots a removal has moved: those behind `from`, up to `to`, each to the place before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    pub(super) from: usize,
    pub(super) to: usize,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self { places: Box::new([]), homes: 0, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len as usize
    }

    /// Returns how many places there are, taken or not.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Returns what is at a place.
    pub(super) fn at(&self, place: usize) -> Option<&Slot<T>> {
        self.places.get(place)?.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot<T>> {
        self.places.iter().flatten()
    }

    #[inline]
    pub(super) fn find(&self, key: Fingerprint) -> Option<&Slot<T>> {
        for place in self.places.get(self.home(key)..)? {
            let slot = place.as_ref()?;
            if slot.is_of(key) {
                return Some(slot);
            }
            if slot.hash() > key.low {
                return None;
            }
        }
        None
    }

    #[inline]
    pub(super) fn find_mut(&mut self, key: Fingerprint) -> Option<&mut Slot<T>> {
        let home = self.home(key);
        for place in self.places.get_mut(home..)? {
            let slot = place.as_mut()?;
            if slot.is_of(key) {
                return Some(slot);
            }
            if slot.hash() > key.low {
                return None;
            }
        }
        None
    }

    /// Reads where a key should be, so that it is in the cache when it is looked for.
    #[inline]
    pub(super) fn touch(&self, key: Fingerprint) -> u64 {
        let home = self.home(key);
        let hash = |place: Option<&Option<Slot<T>>>| match place {
            Some(Some(slot)) => slot.hash().get(),
            _ => 0,
        };
        hash(self.places.get(home)) ^ hash(self.places.get(home + 2))
    }

    /// Adds what is remembered of a key that is not there.
    pub(super) fn insert(&mut self, slot: Slot<T>) {
        if self.is_full() {
            self.grow(slot.hash().get());
        }
        loop {
            let from = self.place_for(slot.key());
            let free = (from..self.places.len()).find(|place| self.places[*place].is_none());
            if let Some(free) = free {
                // They are few: a loop is shorter than a rotation.
                let mut next = Some(slot);
                self.places[from..=free].iter_mut().for_each(|place| swap(place, &mut next));
                self.len += 1;
                return;
            }
            self.grow(slot.hash().get());
        }
    }

    /// Removes what is remembered of a key, if anything is.
    pub(super) fn remove(&mut self, key: Fingerprint) -> Option<Moved> {
        let mut from = self.home(key);
        while !self.at(from)?.is_of(key) {
            from += 1;
        }
        let is_at_home =
            |place: &usize| self.at(*place).is_none_or(|slot| self.home(slot.key()) == *place);
        let to = (from + 1..self.places.len()).find(is_at_home).unwrap_or(self.places.len()) - 1;
        let mut next = None;
        self.places[from..=to].iter_mut().rev().for_each(|place| swap(place, &mut next));
        self.len -= 1;
        Some(Moved { from, to })
    }

    /// Removes all but those that are to stay.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(&Slot<T>) -> bool) {
        let mut next = 0;
        for place in 0..self.places.len() {
            let Some(slot) = self.places[place].take() else { continue };
            if !stays(&slot) {
                self.len -= 1;
                continue;
            }
            let to = next.max(self.home(slot.key()));
            self.places[to] = Some(slot);
            next = to + 1;
        }
    }

    /// Returns where the hash of a key says that it is.
    #[inline]
    fn home(&self, key: Fingerprint) -> usize {
        home(key, self.homes as usize)
    }

    /// Returns where a key belongs that is not there.
    fn place_for(&self, key: Fingerprint) -> usize {
        let mut place = self.home(key);
        while self.at(place).is_some_and(|slot| slot.hash() <= key.low) {
            place += 1;
        }
        place
    }

    fn is_full(&self) -> bool {
        let homes = self.homes as usize;
        let (taken, of) = if homes < SMALL { (1, 2) } else { (4, 5) };
        (self.len() + 1) * of > homes * taken
    }

    /// Makes room. By how much is drawn, here from a hash: tables that grew in step would all be
    /// nearly empty at the same number of keys.
    #[cold]
    fn grow(&mut self, drawn: u64) {
        let sixtyfourths = 8 + drawn as usize % 17;
        let homes = self.homes as usize;
        let more = if homes < SMALL { homes } else { homes / 64 * sixtyfourths };
        self.lay_out((homes + more).max(4));
    }

    /// Lays the slots out anew for so many homes.
    fn lay_out(&mut self, homes: usize) {
        self.homes = u32::try_from(homes).expect("no shard has four thousand million places");
        let spill = homes.min(SPILL);
        let places = (0..homes + spill).map(|_| None).collect();
        let (mut next, mut spilt) = (0, Vec::new());
        for slot in std::mem::replace(&mut self.places, places).into_iter().flatten() {
            let to = next.max(self.home(slot.key()));
            match self.places.get_mut(to) {
                Some(place) => *place = Some(slot),
                None => spilt.push(slot),
            }
            next = to + 1;
        }
        self.len -= spilt.len() as u32;
        spilt.into_iter().for_each(|slot| self.insert(slot));
    }
}
