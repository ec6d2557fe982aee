//! The same line, written the long way: a list in which everybody who moves is moved by itself.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::super::super::voids::Voids;
use crate::algorithm::{Bucket, Level, Pace};
use crate::shards::Fingerprint;
use crate::store::Request;
use crate::time::Instant;

const KEY: Fingerprint = Fingerprint::chosen(1, 1);

/// One bucket and those who wait for it.
#[derive(Debug)]
pub(super) struct Eager {
    bucket: Bucket,
    level: Option<Level>,
    /// Whether somebody waits, or did a moment ago.
    has_line: bool,
    pub(super) waiters: VecDeque<Waiting>,
    pub(super) freed: Vec<Left>,
    voids: Voids,
    /// Who was woken, in order.
    pub(super) woken: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Waiting {
    pub(super) who: usize,
    pub(super) cost: u64,
    pub(super) before: Level,
    pub(super) after: Level,
    pub(super) due: Instant,
    pub(super) armed: Instant,
    has_waker: bool,
    fixed: bool,
    ticket: Option<NonZeroU64>,
}

/// A place that nobody behind can move up to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Left {
    pub(super) cost: u64,
    pub(super) before: Level,
    pub(super) after: Level,
    pub(super) due: Instant,
}

/// A take that can be given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) cost: u64,
    pub(super) after: Level,
    pub(super) before: Option<Level>,
    epoch: u64,
}

/// The answer to one who is ready to wait.
#[derive(Debug)]
pub(super) enum Answer {
    Now(Taken),
    Wait(Instant),
    Refused,
}

impl Eager {
    pub(super) fn new(bucket: Bucket) -> Self {
        let (waiters, freed, woken) = (VecDeque::new(), Vec::new(), Vec::new());
        Self {
            bucket,
            level: None,
            has_line: false,
            waiters,
            freed,
            voids: Voids::default(),
            woken,
        }
    }

    pub(super) fn level(&self) -> Level {
        self.level.unwrap_or(self.bucket.start())
    }

    /// A bucket that is not remembered has no level to set.
    fn set_level(&mut self, level: Level) {
        self.level = self.level.map(|_| level);
    }

    fn taken(&self, cost: u64, after: Level, before: Option<Level>) -> Taken {
        Taken { cost, after, before, epoch: self.voids.epoch() }
    }

    pub(super) fn take(&mut self, cost: u64, now: Instant) -> Option<Taken> {
        let before = self.level();
        let bucket = self.bucket;
        let owing = || (bucket.debt() > 0).then(|| bucket.take_owing(before, cost, now)).flatten();
        if let Some(after) = bucket.take(before, cost, now).or_else(owing) {
            self.level = Some(after);
            return Some(self.taken(cost, after, Some(before)));
        }
        let place = self.find_freed(cost, now).filter(|place| place.due <= now)?;
        self.use_freed(place, (cost, place.after));
        Some(self.taken(cost, place.after, None))
    }

    pub(super) fn reserve(&mut self, who: usize, request: Request, now: Instant) -> Answer {
        let (bucket, Request { cost, timeout, fixed, ticket }) = (self.bucket, request);
        if !bucket.serves(cost) {
            return Answer::Refused;
        }
        let behind = |before: Level| {
            let due = bucket.due(bucket.after(before, cost, now), cost).max(now);
            (before, bucket.after(before, cost, due), due)
        };
        let (mut before, mut after, mut due) = behind(self.level());
        let freed = if due > now { self.find_freed(cost, now) } else { None };
        let juniors = ticket.filter(|_| due > now && freed.is_none()).and_then(|ticket| {
            let junior = |other: &&Waiting| !other.fixed && other.ticket > Some(ticket);
            let count = self.waiters.iter().rev().take_while(junior).count();
            (count > 0).then(|| self.waiters.len() - count)
        });
        if let Some(place) = freed {
            before = place.before;
            let part = bucket.after(before, cost, Instant::MIN);
            let begins = bucket.due(part, cost).min(place.due);
            (after, due) = (place.after, place.due.max(now));
            if cost < place.cost && now <= begins && before < place.after {
                (after, due) = (bucket.after(before, cost, begins), begins);
            } else if cost < place.cost {
                before = before.max(bucket.started(place.after, cost));
            }
        } else if let Some(rank) = juniors {
            (before, after, due) = behind(self.waiters[rank].before);
        }
        let wait = due.saturating_duration_since(now);
        if timeout.is_some_and(|timeout| wait > timeout) {
            return Answer::Refused;
        }
        self.level = Some(match (freed, juniors) {
            (Some(place), _) => {
                self.use_freed(place, (cost, after));
                self.level()
            }
            (None, Some(rank)) => self.chain((rank, Level::at(Instant::MIN)), (before, after), now),
            (None, None) => after,
        });
        if wait.is_zero() {
            return Answer::Now(self.taken(cost, after, freed.is_none().then_some(before)));
        }
        let ahead = self.waiters.iter().rev().take_while(|other| other.after > after);
        let rank = self.waiters.len() - ahead.count();
        let (armed, has_waker) = (due, false);
        let waiting = Waiting { who, cost, before, after, due, armed, has_waker, fixed, ticket };
        self.waiters.insert(rank, waiting);
        self.has_line = true;
        Answer::Wait(due)
    }

    fn find_freed(&self, cost: u64, now: Instant) -> Option<Left> {
        let fits = |place: &&Left| {
            let is_good = now <= place.due || self.bucket.refunds_all(place.after, cost, now);
            let owes_less = self.bucket.due(place.after, cost) > place.due;
            place.cost >= cost && is_good && (self.bucket.debt() == 0 || !owes_less)
        };
        self.freed.iter().find(fits).copied()
    }

    fn use_freed(&mut self, place: Left, (cost, after): (u64, Level)) {
        self.freed.retain(|other| other.after != place.after);
        if cost >= place.cost {
            return;
        }
        let rest = if after < place.after {
            let due = match self.bucket.pace() {
                Pace::Burst => self.bucket.due(place.after, place.cost - cost),
                Pace::Even => Instant::from_nanos(after.whole),
            };
            Left { cost: place.cost - cost, before: after, due, ..place }
        } else {
            let after = self.bucket.started(place.after, cost);
            Left { cost: place.cost - cost, after, ..place }
        };
        self.free(rest);
    }

    fn free(&mut self, place: Left) {
        let rank = self.freed.partition_point(|other| other.after < place.after);
        self.freed.insert(rank, place);
        self.has_line = true;
    }

    pub(super) fn rank(&self, who: usize) -> Option<usize> {
        self.waiters.iter().position(|waiting| waiting.who == who)
    }

    pub(super) fn arm(&mut self, who: usize) -> Option<Instant> {
        let rank = self.rank(who)?;
        let waiting = &mut self.waiters[rank];
        waiting.armed = waiting.due;
        waiting.has_waker = true;
        Some(waiting.due)
    }

    /// Told that it is not the time yet, one sleeps until it is.
    pub(super) fn sleep_on(&mut self, who: usize) -> Option<Instant> {
        let rank = self.rank(who)?;
        let waiting = &mut self.waiters[rank];
        waiting.armed = waiting.due;
        Some(waiting.due)
    }

    pub(super) fn go(&mut self, who: usize, now: Instant) -> Option<Taken> {
        let waiting = self.rank(who).and_then(|rank| self.waiters.remove(rank))?;
        self.settle_freed(now);
        self.wake_oversleeper();
        Some(self.taken(waiting.cost, waiting.after, Some(waiting.before)))
    }

    pub(super) fn leave(&mut self, who: usize, now: Instant) {
        let Some(rank) = self.rank(who) else { return };
        let Some(waiting) = self.waiters.remove(rank) else { return };
        let Waiting { cost, before, after, due, .. } = waiting;
        self.hand_back(cost, Some(before), after, Some(due), now);
        self.settle_freed(now);
        self.wake_oversleeper();
    }

    pub(super) fn give_back(&mut self, taken: Taken, now: Instant) {
        let Taken { cost, after, before, epoch } = taken;
        if after.ceil() <= now || self.voids.has(KEY, epoch) {
            return;
        }
        let Some(level) = self.level else { return };
        match before {
            Some(before) if level == after && before == self.bucket.start() => self.level = None,
            Some(before) if level == after => self.level = Some(before),
            _ => self.hand_back(cost, before, after, None, now),
        }
        self.wake_oversleeper();
    }

    fn hand_back(
        &mut self,
        cost: u64,
        before: Option<Level>,
        after: Level,
        due: Option<Instant>,
        now: Instant,
    ) {
        let all = due.is_some_and(|due| now <= due) || self.bucket.refunds_all(after, cost, now);
        let refund = self.bucket.refund(after, cost, now);
        if !all && refund == Level::ZERO {
            return;
        }
        let top = self.level();
        let last = self.waiters.back().map(|waiting| waiting.after);
        if top != after && last.max(self.freed.last().map(|place| place.after)) != Some(top) {
            self.voids.add(KEY, top.ceil(), now);
        }
        if self.any_fixed_behind(after) {
            if all {
                let due = due.unwrap_or(now);
                self.free(Left { cost, before: before.unwrap_or(after), after, due });
            }
            return;
        }
        let level = match before.filter(|_| due.is_none_or(|due| now <= due)) {
            Some(before) if self.has_line || top == after => {
                self.chain((0, after), (after, before), now)
            }
            Some(_) | None => self.shift(after, refund, now),
        };
        self.set_level(level);
    }

    /// Puts those from a rank on whose takes came after `behind` one after another behind `new`,
    /// where they stood behind `old`.
    fn chain(
        &mut self,
        (rank, behind): (usize, Level),
        (mut old, mut new): (Level, Level),
        now: Instant,
    ) -> Level {
        let bucket = self.bucket;
        let moved = |level: Level, old: Level, new: Level| match bucket.pulled(level, old) {
            Level::ZERO => new,
            between => bucket.pushed(new.max(Level::at(now)), between),
        };
        for waiting in self.waiters.range_mut(rank..).filter(|other| other.after > behind) {
            waiting.before = moved(waiting.before, old, new);
            let due = bucket.after(waiting.before, waiting.cost, Instant::MIN);
            waiting.due = bucket.due(due, waiting.cost).max(waiting.due.min(now));
            old = waiting.after;
            waiting.after = bucket.after(waiting.before, waiting.cost, waiting.due);
            new = waiting.after;
        }
        moved(self.level(), old, new)
    }

    /// Moves those whose takes came after `behind` up by what is left of a take.
    fn shift(&mut self, behind: Level, refund: Level, now: Instant) -> Level {
        let (bucket, mut ahead) = (self.bucket, None::<(Level, Level)>);
        let follow = |level: Level, ahead: Option<(Level, Level)>| {
            let pulled = bucket.pulled(level, refund);
            let after = |(old, new)| bucket.pushed(new, bucket.pulled(level, old));
            ahead.map_or(pulled, |ahead| pulled.max(after(ahead)))
        };
        for waiting in self.waiters.iter_mut().filter(|other| other.after > behind) {
            waiting.before = follow(waiting.before, ahead);
            let least = bucket.after(waiting.before, waiting.cost, Instant::MIN);
            let after = bucket.pulled(waiting.after, refund).max(least);
            waiting.due = bucket.due(after, waiting.cost).max(waiting.due.min(now));
            let new = after.max(bucket.after(waiting.before, waiting.cost, waiting.due));
            ahead = Some((waiting.after, new));
            waiting.after = new;
        }
        follow(self.level(), ahead)
    }

    fn any_fixed_behind(&self, after: Level) -> bool {
        self.waiters.iter().any(|other| other.fixed && other.after > after)
    }

    fn settle_freed(&mut self, now: Instant) {
        while let Some(Left { cost, before, after, due }) = self.freed.last().copied() {
            if self.any_fixed_behind(after) {
                break;
            }
            self.freed.pop();
            let refund = self.bucket.refund(after, cost, now);
            let level = if now <= due && before < after {
                self.chain((0, after), (after, before), now)
            } else {
                self.shift(after, refund, now)
            };
            self.set_level(level);
        }
        self.has_line = !self.waiters.is_empty();
    }

    fn wake_oversleeper(&mut self) {
        let movable = |other: &&mut Waiting| !other.fixed;
        let Some(first) = self.waiters.iter_mut().find(movable) else { return };
        if first.armed > first.due {
            first.armed = first.due;
            self.woken.extend(first.has_waker.then_some(first.who));
        }
    }

    pub(super) fn reset(&mut self, now: Instant) {
        self.voids.add(KEY, self.level().ceil(), now);
        if self.waiters.is_empty() {
            self.level = None;
            return;
        }
        let (bucket, mut level) = (self.bucket, self.bucket.start());
        self.freed.clear();
        for waiting in &mut self.waiters {
            let due = bucket.due(bucket.after(level, waiting.cost, now), waiting.cost).max(now);
            waiting.before = level;
            level = bucket.after(level, waiting.cost, due);
            waiting.after = level;
            waiting.due = waiting.due.min(due);
        }
        self.wake_oversleeper();
        self.level = Some(level);
    }
}
