//! What a shard does for those who go, leave or give back, and for those behind them.

use std::task::Waker;

use super::lineup::Position;
use super::moving::Move;
use super::shard::{Settings, Shard};
use super::{Grant, Place};
use crate::algorithm::{KeptLevel, Level};
use crate::shards::Fingerprint;
use crate::time::Instant;
use crate::waiting::{Freed, Waiter};

/// A take that is given back.
struct Take {
    cost: u64,
    before: Option<Level>,
    after: Level,
    /// When it would have gone, if it has not.
    due: Option<Instant>,
}

impl Shard {
    /// Lets one who waits go. The first waker is the next one's, to be woken.
    pub(super) fn go(
        &mut self,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> (Grant, [Option<Waker>; 2]) {
        let key = place.key;
        let now = self.opens(key, now);
        let Some((waiter, position)) = self.take_out(settings, place) else {
            // Nobody knows the place any more: it has waited, so it goes, and has nothing to return.
            return (
                Grant { key, cost: 0, after: Level::FRESH, before: None, epoch: 0 },
                [None, None],
            );
        };
        self.settle_freed(settings, key, now);
        let next = self.oversleeper(settings, key);
        let (cost, epoch) = (waiter.cost(), self.voids.epoch());
        let Position { before, after, .. } = position;
        (Grant { key, cost, after, before: Some(before), epoch }, [next, waiter.waker])
    }

    /// Lets one who waits leave; the next in line moves up, or the place is kept for a newcomer.
    pub(super) fn leave(
        &mut self,
        settings: &Settings,
        place: Place,
        now: Instant,
    ) -> [Option<Waker>; 2] {
        let key = place.key;
        let Some((waiter, position)) = self.take_out(settings, place) else { return [None, None] };
        let Position { before, after, due } = position;
        let take = Take { cost: waiter.cost(), before: Some(before), after, due: Some(due) };
        let now = self.opens(key, now);
        self.hand_back(settings, key, take, now);
        self.settle_freed(settings, key, now);
        let next = self.oversleeper(settings, key);
        [next, waiter.waker]
    }

    /// Takes one who waits out of the line; nobody moves by that.
    fn take_out(&mut self, settings: &Settings, place: Place) -> Option<(Waiter, Position)> {
        let lineup = self.lines.get_mut(&place.key)?;
        let spot = lineup.find(place.id)?;
        Some(lineup.remove(&settings.bucket, spot))
    }

    /// Returns the waker of the first in line if it sleeps longer than it has to.
    fn oversleeper(&mut self, settings: &Settings, key: Fingerprint) -> Option<Waker> {
        self.lines.get_mut(&key)?.oversleeper(&settings.bucket)
    }

    /// Undoes a take: exactly where nothing has happened since, else in part, else not at all.
    pub(super) fn give_back(
        &mut self,
        settings: &Settings,
        grant: Grant,
        now: Instant,
    ) -> Option<Waker> {
        let Grant { key, cost, after, before, epoch } = grant;
        let (is_open, now) = (self.opens(key, now) == now, self.opens(key, now));
        if after.ceil() <= now || self.voids.has(key, epoch) {
            return None;
        }
        let (level, start) = (self.slot(key)?.state.level(), settings.bucket.start());
        match before {
            Some(before) if level == after && before == start && is_open => {
                self.remove(settings, key);
            }
            Some(before) if level == after => self.lower(settings, key, KeptLevel::of(before)),
            _ => self.hand_back(settings, key, Take { cost, before, after, due: None }, now),
        }
        self.oversleeper(settings, key)
    }

    /// Gives what is left of a take to those behind it, to a newcomer, or to the bucket.
    fn hand_back(&mut self, settings: &Settings, key: Fingerprint, take: Take, now: Instant) {
        let bucket = &settings.bucket;
        let Take { cost, before, after, due } = take;
        let in_time = due.is_none_or(|due| now <= due);
        let all = due.is_some_and(|due| now <= due) || bucket.refunds_all(after, cost, now);
        let refund = bucket.refund(after, cost, now);
        if !all && refund == Level::ZERO {
            return;
        }
        let top = self.level(settings, key);
        // A take that came after this one, and is not in the line, no longer lies where it was
        // told: what it could give back is in doubt, so it gives nothing.
        let last = self.lines.get(&key).and_then(|lineup| lineup.last_take(bucket));
        if top != after && last != Some(top) {
            self.disown(settings, key, now);
        }
        let undone = before.filter(|_| in_time);
        let level = match self.lines.get_mut(&key) {
            Some(lineup) if lineup.any_fixed_behind(bucket, after) => {
                if all {
                    let before = before.unwrap_or(after);
                    lineup.line.free(Freed { cost, before, after, due: due.unwrap_or(now) });
                }
                return;
            }
            Some(lineup) => {
                // As if the take had never happened, where that can still be.
                let by = undone.map_or(Move::shift(refund), |new| Move::Chain { old: after, new });
                lineup.move_up(bucket, (None, after), by, top, now)
            }
            None => undone.filter(|_| top == after).unwrap_or_else(|| bucket.pulled(top, refund)),
        };
        self.lower(settings, key, KeptLevel::of(level));
    }

    /// Gives freed places behind which all can be moved to them; ends a line that is empty.
    fn settle_freed(&mut self, settings: &Settings, key: Fingerprint, now: Instant) {
        let bucket = &settings.bucket;
        let mut top = self.level(settings, key);
        let Some(lineup) = self.lines.get_mut(&key) else { return };
        let mut any = false;
        while let Some(place) = lineup.pop_movable_freed(bucket) {
            let Freed { cost, before, after, due } = place;
            let by = if now <= due && before < after {
                Move::Chain { old: after, new: before }
            } else {
                Move::shift(bucket.refund(after, cost, now))
            };
            top = lineup.move_up(bucket, (None, after), by, top, now);
            any = true;
        }
        let is_empty = lineup.is_empty();
        if any {
            self.lower(settings, key, KeptLevel::of(top));
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
        self.disown(settings, key, now);
        let Some(lineup) = self.lines.get_mut(&key) else {
            self.remove(settings, key);
            return None;
        };
        let level = lineup.start_over(&settings.bucket, now);
        let next = lineup.oversleeper(&settings.bucket);
        self.lower(settings, key, KeptLevel::of(level));
        next
    }
}
