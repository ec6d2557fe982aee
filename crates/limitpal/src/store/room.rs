//! Room for a newcomer where every place is taken, and at whose cost.

use super::answer::{Looked, Outcome};
use super::evict::{Buckets, Seen};
use super::shard::{Settings, Shard};
use super::stored::Stored;
use super::{Evict, Full, Store};
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::sync::atomic::Ordering;
use crate::time::Instant;

impl<A: Stored> Settings<A> {
    /// Counts one more bucket if there is room for it.
    fn has_counted(&self, max: usize) -> bool {
        let one_more = |count: usize| (count < max).then_some(count + 1);
        let relaxed = Ordering::Relaxed;
        self.counts.buckets.fetch_update(relaxed, relaxed, one_more).is_ok()
    }

    fn is_full(&self) -> bool {
        let max = self.options.max_buckets;
        max.is_some_and(|max| self.counts.buckets.load(Ordering::Relaxed) >= max)
    }
}

impl<A: Stored> Shard<A> {
    /// Finds room for one more bucket, at the cost of another if it must be.
    #[inline]
    pub(super) fn make_room(&mut self, settings: &Settings<A>, now: Instant) -> Result<(), Full> {
        let Some(max) = settings.options.max_buckets else { return Ok(()) };
        // The newcomer takes the other's place in the count.
        if settings.has_counted(max) || self.evict(settings, now) { Ok(()) } else { Err(Full) }
    }

    /// Forgets the bucket that is missed least, leaving the count to the caller. False if there
    /// is none to forget: the one in use that was found is spared, if that is the policy.
    pub(super) fn evict(&mut self, settings: &Settings<A>, now: Instant) -> bool {
        match &self.own {
            None => self.evict_by::<false>(settings, now),
            Some(_) => self.evict_own(settings, now),
        }
    }

    #[cold]
    #[inline(never)]
    fn evict_own(&mut self, settings: &Settings<A>, now: Instant) -> bool {
        self.evict_by::<true>(settings, now)
    }

    /// As `evict`; where nothing is keys' own, nobody looks for it slot by slot.
    #[inline(always)] // in each of the two above
    fn evict_by<const OWN: bool>(&mut self, settings: &Settings<A>, now: Instant) -> bool {
        self.spared = None;
        if !self.has_idlers() {
            return false;
        }
        let Self { table, lines, evictor, own, .. } = self;
        let own = own.as_deref().filter(|_| OWN);
        let buckets = Buckets { table, lines, bucket: &settings.bucket, own };
        let Some(key) = evictor.choose(buckets, now) else { return false };
        let fresh_at = self.look(settings, key, |state| match OWN {
            false => settings.bucket.fresh_at(state),
            true => self.buckets(settings).fresh_at(key, state),
        });
        if fresh_at > now {
            if settings.options.evict != Evict::NearestNew {
                self.spare(settings, key, fresh_at);
                return false;
            }
            self.lose(settings, key, fresh_at, now);
        }
        self.forget(key)
    }

    /// Counts a bucket that goes though it is not as new; takes from it give nothing back.
    fn lose(&mut self, settings: &Settings<A>, key: Fingerprint, fresh_at: Instant, now: Instant) {
        settings.counts.evicted_live.fetch_add(1, Ordering::Relaxed);
        self.voids.add(key, fresh_at, now);
    }

    /// Puts a bucket that was chosen back among those to choose from.
    fn spare(&mut self, settings: &Settings<A>, key: Fingerprint, fresh_at: Instant) {
        let used = self.slot(key).map_or(i64::MIN, |slot| slot.used);
        self.lowered(settings, key, Seen { fresh_at, used, awaited: false });
        self.spared = Some(key);
    }

    /// Runs the step of one who may be a newcomer; where it finds no room, as somebody's heir if
    /// that is the policy.
    #[inline]
    pub(super) fn admit<T: Outcome>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        now: Instant,
        step: impl Fn(&mut Self, Instant) -> Result<T, Full> + Copy,
    ) -> Result<T, Full> {
        match step(self, now) {
            Err(Full) => self.or_inherit(settings, key, now, step),
            done => done,
        }
    }

    /// As `admit`, for one whose step has found no room.
    #[inline]
    pub(super) fn or_inherit<T: Outcome>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        now: Instant,
        step: impl Fn(&mut Self, Instant) -> Result<T, Full> + Copy,
    ) -> Result<T, Full> {
        match settings.options.evict {
            Evict::Inherit => self.inherit(settings, key, now, step),
            Evict::NearestNew | Evict::RefuseNew => Err(Full),
        }
    }

    /// As `admit`, for one who has found no room a moment ago: nobody is looked for twice.
    pub(super) fn admit_again<T: Outcome>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        now: Instant,
        step: impl Fn(&mut Self, Instant) -> Result<T, Full> + Copy,
    ) -> Result<T, Full> {
        let finds_none = self.slot(key).is_none() && settings.is_full();
        let is_spared = self
            .spared
            .is_some_and(|victim| self.slot(victim).is_some() && !self.lines.contains_key(&victim));
        match settings.options.evict {
            Evict::RefuseNew if finds_none => Err(Full),
            Evict::Inherit if finds_none && is_spared => self.inherit(settings, key, now, step),
            Evict::NearestNew | Evict::RefuseNew | Evict::Inherit => {
                self.admit(settings, key, now, step)
            }
        }
    }

    /// Takes a bucket out, leaving the count to the caller; returns its state and last use.
    fn pull_out(&mut self, settings: &Settings<A>, key: Fingerprint) -> Option<(A::State, i64)> {
        let slot = self.slot(key)?;
        let state = std::mem::replace(&mut slot.state, settings.bucket.fresh());
        let used = slot.used;
        self.forget(key).then_some((state, used))
    }

    /// Runs the step of a newcomer in the place of the bucket that was spared, and with its state.
    /// If nothing is taken, that one has its place again.
    #[cold]
    #[inline(never)] // nothing of it is prepared for by those who find room
    fn inherit<T: Outcome>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        now: Instant,
        step: impl FnOnce(&mut Self, Instant) -> Result<T, Full>,
    ) -> Result<T, Full> {
        let victim = self.spared.take().ok_or(Full)?;
        // Debts are by the limits they were made under, and a key that is closed bequeaths nothing.
        if self.is_special(victim) || self.is_special(key) {
            return Err(Full);
        }
        let fresh_at = self.fresh_at(settings, victim);
        let (state, used) = self.pull_out(settings, victim).ok_or(Full)?;
        self.insert(settings, key, state, used);
        let done = step(self, now);
        if done.as_ref().is_ok_and(Outcome::is_taken) {
            if fresh_at > now {
                self.lose(settings, victim, fresh_at, now);
            }
        } else if let Some((state, _)) = self.pull_out(settings, key) {
            self.insert(settings, victim, state, used);
        }
        // In a large store another one is found the next time.
        if self.evictor.is_exact() { done } else { done.map(Outcome::in_doubt) }
    }

    /// Looks as one would who is about to take; none where that one would find no room.
    fn look_in<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        now: Instant,
        mut look: impl FnMut(&mut Self, Instant) -> T,
    ) -> Option<T>
    where
        Looked<T>: Outcome,
    {
        if self.slot(key).is_some() || !settings.is_full() {
            return Some(look(self, now));
        }
        self.spared = None;
        if !self.has_idlers() {
            return None;
        }
        let Self { table, lines, evictor, own, .. } = self;
        let buckets = Buckets { table, lines, bucket: &settings.bucket, own: own.as_deref() };
        let victim = evictor.foresee(buckets, now)?;
        let fresh_at = self.fresh_at(settings, victim);
        self.spared = Some(victim);
        match settings.options.evict {
            Evict::RefuseNew if fresh_at > now => None,
            Evict::Inherit if fresh_at > now => {
                let look = |shard: &mut Self, now| Ok(Looked(look(shard, now)));
                self.inherit(settings, key, now, look).ok().map(|Looked(seen)| seen)
            }
            Evict::NearestNew | Evict::RefuseNew | Evict::Inherit => Some(look(self, now)),
        }
    }

    /// Returns when the first bucket is as new; none where that cannot be known.
    fn next_idle(&mut self, settings: &Settings<A>) -> Option<Instant> {
        let Self { table, lines, evictor, own, .. } = self;
        evictor.soonest(Buckets { table, lines, bucket: &settings.bucket, own: own.as_deref() })
    }
}

impl<A: Stored> Store<A> {
    /// Makes room elsewhere for one who has found none in its own shard; false if it is refused.
    #[cold]
    pub(super) fn makes_room(&self) -> bool {
        let made = self.options().evict == Evict::NearestNew && self.evict_elsewhere();
        if !made {
            self.settings.counts.refused_new.fetch_add(1, Ordering::Relaxed);
        }
        made
    }

    fn evict_elsewhere(&self) -> bool {
        (0..self.shards.len()).any(|index| {
            let mut shard = self.lock(index);
            let now = shard.time.now();
            let found = shard.evict(&self.settings, now);
            self.settings.forgot(found.into());
            found
        })
    }

    /// Looks at a key as one who is about to take; none where that one would find no room.
    pub(super) fn look<T, E>(
        &self,
        key: Fingerprint,
        cost: u64,
        read: impl FnMut() -> Result<Instant, E>,
        mut look: impl FnMut(&mut Shard<A>, Instant) -> T,
    ) -> Result<Option<T>, E>
    where
        Looked<T>: Outcome,
    {
        if self.options().max_buckets.is_none() || !self.serves(key, cost) {
            // It wants no room.
            return self.with(key, read, look).map(Some);
        }
        if self.options().evict != Evict::NearestNew {
            let settings = &self.settings;
            return self.with(key, read, |shard, now| shard.look_in(settings, key, now, &mut look));
        }
        if !self.has_room_for(key) {
            return Ok(None);
        }
        self.with(key, read, look).map(Some)
    }

    /// Returns whether a key has a bucket, or could have one where everybody is served.
    fn has_room_for(&self, key: Fingerprint) -> bool {
        !self.settings.is_full()
            || self.shard(key).slot(key).is_some()
            || (0..self.shards.len()).any(|index| self.lock(index).has_idlers())
    }

    /// Returns when there is room again for one who has found none: in a small store as soon as
    /// one of them is as new. Nobody can say when somebody stops waiting.
    #[cold]
    pub(super) fn room_after(&self) -> RetryAfter {
        if self.options().evict != Evict::RefuseNew || self.shards.len() > 1 {
            return RetryAfter::Unknown;
        }
        let mut shard = self.lock(0);
        let now = shard.time.now();
        match shard.next_idle(&self.settings) {
            Some(at) if at > now && at < Instant::MAX => {
                RetryAfter::After(at.saturating_duration_since(now))
            }
            _ => RetryAfter::Unknown,
        }
    }
}
