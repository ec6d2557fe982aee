//! What a shard does for those who go, leave or give back, and for those behind them.

use std::task::Waker;

use super::fingerprint::Fingerprint;
use super::moving::{chain, shift};
use super::shard::{FRESH, Settings, Shard};
use super::{Grant, Place};
use crate::algorithm::Level;
use crate::time::Instant;
use crate::waiting::{Freed, Line, Waiter};

/// A take that is given back.
struct Take {
    cost: u64,
    before: Option<Level>,
    after: Level,
    /// When it went, or would have gone.
    due: Instant,
}

impl Shard {
    /// Lets one who waits go. The first waker is the next one's, to be woken.
    pub(super) fn go(
        &mut self,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]) {
        let Place { key, id } = place;
        let line = self.lines.get_mut(&key);
        let Some(waiter) = line.and_then(|line| line.remove(id)) else {
            // Nobody knows the place any more: it has waited, so it goes, and has nothing to return.
            return (Grant { key, cost: 0, after: FRESH, before: None, epoch: 0 }, [None, None]);
        };
        self.settle_freed(settings, key, now);
        let next = self.lines.get_mut(&key).and_then(Line::oversleeper);
        let (cost, before, after) = (waiter.cost, Some(waiter.before), waiter.after);
        let epoch = self.voids.epoch();
        (Grant { key, cost, after, before, epoch }, [next, waiter.waker])
    }

    /// Lets one who waits leave; the next in line moves up, or the place is kept for a newcomer.
    pub(super) fn leave(
        &mut self,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        let Place { key, id } = place;
        let Some(line) = self.lines.get_mut(&key) else { return [None, None] };
        let Some(waiter) = line.remove(id) else { return [None, None] };
        let Waiter { cost, before, after, due, .. } = waiter;
        self.hand_back(settings, key, Take { cost, before: Some(before), after, due }, now);
        self.settle_freed(settings, key, now);
        let next = self.lines.get_mut(&key).and_then(Line::oversleeper);
        [next, waiter.waker]
    }

    /// Undoes a take: exactly where nothing has happened since, else in part, else not at all.
    pub(super) fn give_back(
        &mut self,
        settings: &Settings,
        grant: Grant,
        now: Instant,
    ) -> Option<Waker> {
        let Grant { key, cost, after, before, epoch } = grant;
        if after.ceil() <= now || self.voids.has(key, epoch) {
            return None;
        }
        let level = self.slot(key)?.level();
        match before {
            Some(FRESH) if level == after => self.remove(settings, key),
            Some(before) if level == after => self.lower(key, before),
            _ => self.hand_back(settings, key, Take { cost, before, after, due: now }, now),
        }
        self.lines.get_mut(&key).and_then(Line::oversleeper)
    }

    /// Gives what is left of a take to those behind it, to a newcomer, or to the bucket.
    fn hand_back(&mut self, settings: &Settings, key: Fingerprint, take: Take, now: Instant) {
        let bucket = &settings.bucket;
        let Take { cost, before, after, due } = take;
        let all = now <= due || bucket.refunds_all(after, cost, now);
        let refund = bucket.refund(after, cost, now);
        if !all && refund == Level::ZERO {
            return;
        }
        let top = self.level(key);
        // A take that came after this one, and is not in the line, no longer lies where it was
        // told: what it could give back is in doubt, so it gives nothing.
        if top != after && self.lines.get(&key).and_then(Line::last) != Some(top) {
            self.disown(key, now);
        }
        let level = match self.lines.get_mut(&key) {
            Some(line) if line.any_fixed_behind(after) => {
                if all {
                    let before = before.unwrap_or(after);
                    line.free(Freed { cost, before, after, due });
                }
                return;
            }
            Some(line) => match before.filter(|_| now <= due) {
                // As if the take had never happened.
                Some(before) => chain(bucket, line.behind(after), (after, before), top, now),
                None => shift(bucket, line, (refund, after), top, now),
            },
            None => before
                .filter(|_| now <= due && top == after)
                .unwrap_or_else(|| bucket.pulled(top, refund)),
        };
        self.lower(key, level);
    }

    /// Gives freed places behind which all can be moved to them; ends a line that is empty.
    fn settle_freed(&mut self, settings: &Settings, key: Fingerprint, now: Instant) {
        let bucket = &settings.bucket;
        let mut top = self.level(key);
        let Some(line) = self.lines.get_mut(&key) else { return };
        let mut any = false;
        while let Some(place) = line.pop_movable_freed() {
            let Freed { cost, before, after, due } = place;
            let refund = bucket.refund(after, cost, now);
            top = if now <= due && before < after {
                chain(bucket, line.behind(after), (after, before), top, now)
            } else {
                shift(bucket, line, (refund, after), top, now)
            };
            any = true;
        }
        let is_empty = line.is_empty();
        if any {
            self.lower(key, top);
        }
        if is_empty {
            self.lines.remove(&key);
        }
    }

    /// Forgets one key; those who wait for it go in their order, from a full bucket.
    pub(super) fn reset(
        &mut self,
        settings: &Settings,
        key: Fingerprint,
        now: Instant,
    ) -> Option<Waker> {
        self.disown(key, now);
        let Some(line) = self.lines.get_mut(&key) else {
            self.remove(settings, key);
            return None;
        };
        let bucket = &settings.bucket;
        let mut level = FRESH;
        line.clear_freed();
        for waiter in line.iter_mut() {
            let due = bucket.due(bucket.after(level, waiter.cost, now), waiter.cost).max(now);
            waiter.before = level;
            level = bucket.after(level, waiter.cost, due);
            waiter.after = level;
            waiter.due = waiter.due.min(due);
        }
        let next = line.oversleeper();
        self.lower(key, level);
        next
    }
}
