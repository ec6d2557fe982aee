//! What the other side says to calls that were let through, and the rate that follows.

use std::task::Waker;

use super::shard::{Settings, Shard};
use super::{Full, Store};
use crate::algorithm::{AdaptiveRate, Algorithm, Heard};
use crate::shards::Fingerprint;
use crate::time::Instant;

impl Shard<AdaptiveRate> {
    /// Hears what was said to a call; returns the waker of one who sleeps too long by it.
    fn hear(
        &mut self,
        settings: &Settings<AdaptiveRate>,
        key: Fingerprint,
        heard: Heard,
        now: Instant,
    ) -> Result<Option<Waker>, Full> {
        let bucket = &settings.bucket;
        if let Some(queue) = self.lines.get_mut(&key) {
            let moved = queue.change(bucket, now, |facts| bucket.hear(facts, heard, now));
            return Ok(if moved { queue.oversleeper(bucket) } else { None });
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
        Ok(None)
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
        let hear =
            |shard: &mut Shard<AdaptiveRate>, now| shard.hear(&self.settings, key, heard, now);
        let next = self.with_room(key, read, hear)?;
        next.flatten().into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Returns a key's rate now, in permits a second.
    pub fn rate<E>(
        &self,
        key: Fingerprint,
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<f64, E> {
        let bucket = self.bucket();
        self.with(key, read, |shard, now| match shard.lines.get(&key) {
            Some(queue) => bucket.rate(queue.facts(), now),
            None => shard.look(&self.settings, key, |state| bucket.rate(state, now)),
        })
    }
}
