//! Putting a window and those who wait for it from old settings to new ones, and to when it opens.

use std::task::Waker;

use super::answer::Place;
use super::shard::{Settings, Shard};
use crate::algorithm::{Carry, Window};
use crate::shards::Fingerprint;
use crate::time::Instant;

impl<W: Window> Shard<W> {
    pub(super) fn rebuild(
        &mut self,
        (old, settings): (&Settings<W>, &Settings<W>),
        key: Fingerprint,
        carry: Option<Carry>,
        now: Instant,
    ) -> Vec<Waker> {
        let (from, bucket) = (self.opens(key, now), &settings.bucket);
        let carried = |state: &W::State| match carry {
            None => state.clone(),
            Some(Carry::Reset) => bucket.fresh(),
            Some(carry) => bucket.carried(&old.bucket, state, carry, now),
        };
        let Some(queue) = self.lines.get_mut(&key) else {
            if let Some(slot) = self.slot(key).filter(|_| carry.is_some()) {
                let state = carried(&slot.state);
                self.lower(settings, key, state);
            }
            return Vec::new();
        };
        queue.settle(&old.bucket, now);
        let facts = carried(queue.facts());
        if carry.is_some() {
            queue.forget_marks();
        }
        let turned_away = queue.replan(bucket, facts, from);
        let mut woken: Vec<_> = self.end(settings, key).into_iter().collect();
        for (id, due, waker) in turned_away {
            self.turn_away(settings, Place { key, id }, due);
            woken.extend(waker);
        }
        woken
    }

    pub(super) fn return_some(
        &mut self,
        settings: &Settings<W>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
    ) -> Option<Waker> {
        if now > self.time.now() {
            return None;
        }
        self.disown(settings, key, now);
        let bucket = &settings.bucket;
        if let Some(queue) = self.lines.get_mut(&key) {
            queue.undo_last(bucket, cost, now);
            return queue.oversleeper(bucket);
        }
        let slot = self.slot(key)?;
        bucket.undo_last(&mut slot.state, cost, now);
        let state = std::mem::replace(&mut slot.state, bucket.held());
        self.lower(settings, key, state);
        None
    }
}
