//! What the other side says to calls that were let through, and the rate that follows.

use std::task::Waker;

use super::shard::{Settings, Shard};
use super::{Full, Store};
use crate::algorithm::{AdaptiveRate, Algorithm, Heard};
use crate::shards::Fingerprint;
use crate::time::Instant;

impl Shard<AdaptiveRate> {
    /// Hears what was said to a call. Who would wait too long by it is turned away. Returns whom to
    /// wake; none where there is no room to remember it.
    fn hear(
        &mut self,
        settings: &Settings<AdaptiveRate>,
        key: Fingerprint,
        heard: Heard,
        now: Instant,
    ) -> Result<Option<Vec<Waker>>, Full> {
        let bucket = &settings.bucket;
        if let Some(queue) = self.lines.get_mut(&key) {
            let moved = queue.change(bucket, now, |facts| bucket.hear(facts, heard, now));
            return Ok(Some(match heard {
                _ if !moved => Vec::new(),
                Heard::Success => queue.oversleeper(bucket).into_iter().collect(),
                Heard::Throttled => self.rebuild((settings, settings), key, None, now),
            }));
        }
        let used = self.stamp(now);
        let known = self.slot(key).map(|slot| {
            slot.used = used;
            slot.state
        });
        match (known, heard) {
            (Some(mut state), _) => {
                let fresh_at = bucket.fresh_at(&state);
                bucket.hear(&mut state, heard, now);
                if bucket.fresh_at(&state) < fresh_at {
                    self.lower(settings, key, state);
                } else if let Some(slot) = self.slot(key) {
                    slot.state = state;
                }
            }
            (None, Heard::Success) => {}
            (None, Heard::Throttled) => {
                let mut state = bucket.fresh();
                bucket.hear(&mut state, heard, now);
                self.put(settings, key, state, now)?;
            }
        }
        Ok(Some(Vec::new()))
    }
}

impl Store<AdaptiveRate> {
    /// Hears what the other side said to a call. Where there is no room for another key, throttling
    /// of an unknown one is forgotten.
    pub fn hear<E>(
        &self,
        key: Fingerprint,
        heard: Heard,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<(), E> {
        let hear = |shard: &mut Shard<AdaptiveRate>, now| {
            let settings = &*shard.terms(&self.settings, key);
            shard.hear(settings, key, heard, now)
        };
        let next = self.with_room(key, read, hear)?;
        next.flatten().into_iter().flatten().for_each(Waker::wake);
        Ok(())
    }

    /// Returns a key's rate now, in permits a second.
    pub fn rate<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<f64, E> {
        self.with(key, read, |shard, now| {
            let settings = &*shard.terms(&self.settings, key);
            match shard.lines.get(&key) {
                Some(queue) => settings.bucket.rate(queue.facts(), now),
                None => shard.look(settings, key, |state| settings.bucket.rate(state, now)),
            }
        })
    }
}
