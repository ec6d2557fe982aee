//! The keys that are active: who asked last, and how long ago, and what each has of its share.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashTable;

use super::line::Line;
use crate::algorithm::Level;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// The most keys that one call forgets, so that no call pays for a crowd that has gone.
const FORGOTTEN: usize = 64;

/// What a key has been served, counted fairly, and when it began to wait for more.
pub(super) type Rank = (u64, u64);

/// One active key: 72 bytes, and about 10 to find it by.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: Fingerprint,
    /// The level of its share.
    pub(super) level: Level,
    /// What was served when it last was, counted fairly: who has less goes first.
    pub(super) tag: u64,
    asked: i64,
    older: Option<u32>,
    newer: Option<u32>,
    /// Made for the first who waits, and dropped after the last.
    pub(super) line: Option<Box<Line>>,
}

/// Active keys, by when they last asked.
#[derive(Debug, Default)]
pub(super) struct Members {
    index: HashTable<u32>,
    members: Vec<Member>,
    oldest: Option<u32>,
    newest: Option<u32>,
    /// Those for whom somebody waits, in the order in which they are served.
    pub(super) waiting: BTreeSet<(Rank, Fingerprint)>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn find(&self, key: Fingerprint) -> Option<&Member> {
        self.spot(key).map(|spot| &self.members[spot as usize])
    }

    pub(super) fn find_mut(&mut self, key: Fingerprint) -> Option<&mut Member> {
        let spot = self.spot(key)?;
        Some(&mut self.members[spot as usize])
    }

    fn spot(&self, key: Fingerprint) -> Option<u32> {
        self.index.find(key.low.get(), |spot| self.members[*spot as usize].key == key).copied()
    }

    /// Returns the key as one that has asked just now, and how many are active.
    pub(super) fn touch(&mut self, key: Fingerprint, now: Instant) -> (&mut Member, u64) {
        let spot = match self.spot(key) {
            Some(spot) => {
                self.unlink(spot);
                spot
            }
            None => self.add(key),
        };
        self.link(spot, now);
        let keys = self.members.len() as u64;
        (&mut self.members[spot as usize], keys)
    }

    fn add(&mut self, key: Fingerprint) -> u32 {
        let spot = u32::try_from(self.members.len()).expect("four billion do not fit into memory");
        if self.members.len() == self.members.capacity() {
            // Doubling would leave up to half of the memory unused.
            self.members.reserve_exact(self.members.len() / 8 + 4);
        }
        let (level, tag, asked, older, newer, line) = (Level::FRESH, 0, 0, None, None, None);
        self.members.push(Member { key, level, tag, asked, older, newer, line });
        let Self { index, members, .. } = self;
        index.insert_unique(key.low.get(), spot, |spot| members[*spot as usize].key.low.get());
        spot
    }

    /// Forgets those who have not asked for so long, but for those who wait.
    pub(super) fn forget_idle(&mut self, active_for: Duration, now: Instant) {
        let since = now.saturating_sub(active_for);
        for _ in 0..FORGOTTEN {
            let Some(spot) = self.oldest else { return };
            let Member { asked, key, ref line, .. } = self.members[spot as usize];
            if asked > since.as_nanos() {
                return;
            }
            if line.is_some() {
                // It asks for as long as it waits.
                self.unlink(spot);
                self.link(spot, now);
            } else {
                self.remove(key);
            }
        }
    }

    /// As `forget_idle`, however many they are.
    pub(super) fn forget_all_idle(&mut self, active_for: Duration, now: Instant) {
        for _ in 0..=self.len() / FORGOTTEN {
            self.forget_idle(active_for, now);
        }
    }

    /// Forgets one key.
    pub(super) fn remove(&mut self, key: Fingerprint) {
        let Some(spot) = self.spot(key) else { return };
        self.unlink(spot);
        let find = |at: u32| move |spot: &u32| *spot == at;
        if let Ok(entry) = self.index.find_entry(key.low.get(), find(spot)) {
            entry.remove();
        }
        self.members.swap_remove(spot as usize);
        // The last one has moved to its place.
        let Some(moved) = self.members.get(spot as usize) else { return };
        let (key, older, newer) = (moved.key, moved.older, moved.newer);
        let last = self.members.len() as u32;
        if let Ok(mut entry) = self.index.find_entry(key.low.get(), find(last)) {
            *entry.get_mut() = spot;
        }
        *self.newer_of(older) = Some(spot);
        *self.older_of(newer) = Some(spot);
    }

    /// Runs through all of them.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.iter_mut()
    }

    fn link(&mut self, spot: u32, now: Instant) {
        let older = self.newest.replace(spot);
        let member = &mut self.members[spot as usize];
        (member.asked, member.older, member.newer) = (now.as_nanos(), older, None);
        *self.newer_of(older) = Some(spot);
    }

    fn unlink(&mut self, spot: u32) {
        let Member { older, newer, .. } = self.members[spot as usize];
        *self.newer_of(older) = newer;
        *self.older_of(newer) = older;
    }

    /// Returns where it is kept who comes after one, or who is the first.
    fn newer_of(&mut self, spot: Option<u32>) -> &mut Option<u32> {
        match spot {
            Some(spot) => &mut self.members[spot as usize].newer,
            None => &mut self.oldest,
        }
    }

    fn older_of(&mut self, spot: Option<u32>) -> &mut Option<u32> {
        match spot {
            Some(spot) => &mut self.members[spot as usize].older,
            None => &mut self.newest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_active_key_takes_as_much_as_the_docs_say() {
        assert_eq!(72, size_of::<Member>());
    }
}
