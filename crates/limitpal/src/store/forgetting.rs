//! Forgetting what is idle for the `ttl`, once it is as new.

use super::shard::{Settings, Shard};
use super::slot::Slot;
use super::stored::Stored;
use crate::shards::Fingerprint;
use crate::time::{Instant, nanos};

impl<A: Stored> Shard<A> {
    pub(super) fn contains(&self, settings: &Settings<A>, key: Fingerprint, now: Instant) -> bool {
        let slot = self.table.find(key);
        slot.is_some_and(|slot| {
            let is_new = self.buckets(settings).fresh_at(key, &slot.state) <= now;
            !(is_new && is_idle(settings, slot, now)) || self.lines.contains_key(&key)
        })
    }

    /// Forgets what is idle for the `ttl` and as new again.
    pub(super) fn forget_expired(&mut self, settings: &Settings<A>, now: Instant) {
        if settings.options.ttl.is_none() {
            return;
        }
        let before = self.table.len();
        let Self { table, lines, own, .. } = self;
        table.retain(|slot| {
            let (key, state) = (slot.key(), &slot.state);
            let fresh_at = match own {
                Some(own) => own.fresh_at(key, state),
                None => settings.bucket.fresh_at(state),
            };
            let ends = is_idle(settings, slot, now) && fresh_at <= now;
            let ends = ends && !lines.contains_key(&key);
            if let Some(own) = own.as_mut().filter(|_| ends) {
                own.forget(key);
            }
            !ends
        });
        self.evictor.moved();
        settings.forgot(before - self.table.len());
    }
}

/// Returns whether a bucket is idle for so long that it is to be forgotten once it is as new.
fn is_idle<A: Stored>(settings: &Settings<A>, slot: &Slot<A::State>, now: Instant) -> bool {
    let idle = now.as_nanos().saturating_sub(slot.used);
    settings.options.ttl.is_some_and(|ttl| idle >= nanos(ttl))
}
