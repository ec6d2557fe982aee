//! What a shard knows of keys besides their states: quotas of their own, and who is closed.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::ops::Deref;
use std::sync::Arc;

use super::Full;
use super::answer::{Grant, Place, Request, Turn};
use super::shard::{Settings, Shard};
use super::stored::Stored;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// What is not as the limiter was made. A shard without any pays one look for it.
#[derive(Debug)]
pub(super) struct Own<A> {
    /// The settings of all other keys.
    pub(super) common: Arc<Settings<A>>,
    /// Until when these are not what the limiter was made with.
    changed_until: Instant,
    quotas: HashMap<Fingerprint, Quota<A>>,
    /// Until when keys are closed. Each of them has a slot.
    closed: HashMap<Fingerprint, Instant>,
    /// By then all are open again.
    all_open: Instant,
    /// Those turned away who waited and do not know it yet, and when their turn would come.
    refused: HashMap<(Fingerprint, NonZeroU64), Instant>,
    /// With so many quotas it is looked for some that are not needed any more.
    most: usize,
}

#[derive(Debug)]
struct Quota<A> {
    /// None for the common ones: it was asked for, and has none.
    settings: Option<Arc<Settings<A>>>,
    /// Whether somebody configured it; else it was asked for when the key was new, and is asked for
    /// again once the key is forgotten.
    is_kept: bool,
}

/// The settings that a key goes by.
pub(super) enum Terms<'s, A> {
    Common(&'s Settings<A>),
    Own(Arc<Settings<A>>),
}

impl<A> Deref for Terms<'_, A> {
    type Target = Settings<A>;

    #[inline]
    fn deref(&self) -> &Settings<A> {
        match self {
            Self::Common(settings) => settings,
            Self::Own(settings) => settings,
        }
    }
}

impl<A: Stored> Own<A> {
    fn new(common: Arc<Settings<A>>) -> Self {
        Self {
            common,
            changed_until: Instant::MIN,
            quotas: HashMap::new(),
            closed: HashMap::new(),
            all_open: Instant::MIN,
            refused: HashMap::new(),
            most: 64,
        }
    }

    pub(super) fn settings(&self, key: Fingerprint) -> &Arc<Settings<A>> {
        let own = self.quotas.get(&key).and_then(|quota| quota.settings.as_ref());
        own.unwrap_or(&self.common)
    }

    /// Returns from when on a state is as new that is open, and not before it opens.
    #[cold]
    #[inline(never)] // the look at each of many slots stays short
    pub(super) fn fresh_at(&self, key: Fingerprint, state: &A::State) -> Instant {
        let fresh_at = self.settings(key).bucket.fresh_at(state);
        self.closed.get(&key).map_or(fresh_at, |opens| fresh_at.max(*opens))
    }

    /// Returns until when a key is closed, if somebody closed it.
    pub(super) fn closed_until(&self, key: Fingerprint) -> Option<Instant> {
        self.closed.get(&key).copied()
    }

    /// Forgets what ends with a key's state.
    pub(super) fn forget(&mut self, key: Fingerprint) {
        self.closed.remove(&key);
        if self.quotas.get(&key).is_some_and(|quota| !quota.is_kept) {
            self.quotas.remove(&key);
        }
    }

    fn is_vacant(&self) -> bool {
        let Self { quotas, closed, refused, .. } = self;
        self.changed_until == Instant::MIN
            && quotas.is_empty()
            && closed.is_empty()
            && refused.is_empty()
    }
}

impl<A: Stored> Shard<A> {
    /// Returns the settings that a key goes by.
    #[inline]
    pub(super) fn terms<'s>(&self, settings: &'s Settings<A>, key: Fingerprint) -> Terms<'s, A> {
        match &self.own {
            None => Terms::Common(settings),
            Some(own) => Terms::Own(own.settings(key).clone()),
        }
    }

    /// Returns when a key is open: now, or later.
    #[inline]
    pub(super) fn opens(&self, key: Fingerprint, now: Instant) -> Instant {
        let Some(own) = &self.own else { return now };
        own.closed.get(&key).map_or(now, |opens| now.max(*opens))
    }

    /// Returns what keys have of their own, from now on.
    pub(super) fn own_mut(&mut self, settings: &Settings<A>) -> &mut Own<A> {
        self.own.get_or_insert_with(|| Box::new(Own::new(Arc::new(settings.clone()))))
    }

    /// Closes a key, which has a slot, until then or longer.
    pub(super) fn close(&mut self, settings: &Settings<A>, key: Fingerprint, until: Instant) {
        let own = self.own_mut(settings);
        let opens = own.closed.entry(key).or_insert(until);
        *opens = until.max(*opens);
        own.all_open = own.all_open.max(until);
    }

    #[cold]
    #[inline(never)]
    pub(super) fn forget_own(&mut self, key: Fingerprint) {
        if let Some(own) = &mut self.own {
            own.forget(key);
        }
    }

    /// Opens a key that was closed.
    pub(super) fn open(&mut self, key: Fingerprint) {
        if let Some(own) = &mut self.own {
            own.closed.remove(&key);
        }
        self.settle_own();
    }

    /// Forgets what was closed, once all is open again, and settings that are over.
    pub(super) fn settle(&mut self, now: Instant) {
        let Some(own) = &mut self.own else { return };
        if own.all_open <= now && !own.closed.is_empty() {
            own.closed = HashMap::new();
            self.settle_own();
        } else if Instant::MIN < own.changed_until && own.changed_until <= now {
            own.changed_until = Instant::MIN;
            self.settle_own();
        }
    }

    /// Forgets that there was something of keys' own, once there is not.
    fn settle_own(&mut self) {
        if self.own.as_ref().is_some_and(|own| own.is_vacant()) {
            self.own = None;
        }
    }

    /// Sets the settings of all keys that have none of their own, until they are as the limiter's.
    pub(super) fn set_common(
        &mut self,
        settings: &Settings<A>,
        common: Settings<A>,
        until: Instant,
    ) {
        let own = self.own_mut(settings);
        (own.common, own.changed_until) = (Arc::new(common), until);
    }

    /// Takes a key's own settings away.
    pub(super) fn drop_quota(&mut self, key: Fingerprint) {
        if let Some(own) = &mut self.own {
            own.quotas.remove(&key);
        }
        self.settle_own();
    }

    /// Gives a key settings of its own, or says that it has none.
    pub(super) fn set_quota(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        (bucket, is_kept): (Option<A>, bool),
    ) {
        let own = self.own_mut(settings);
        let settings = bucket.map(|bucket| Arc::new(settings.with(bucket)));
        own.quotas.insert(key, Quota { settings, is_kept });
    }

    /// Returns whether a key has a quota of its own.
    pub(super) fn has_quota(&self, key: Fingerprint) -> bool {
        let own = self.own.as_ref().and_then(|own| own.quotas.get(&key));
        own.is_some_and(|quota| quota.settings.is_some())
    }

    /// Returns whether a key has limits of its own, or is closed.
    pub(super) fn is_special(&self, key: Fingerprint) -> bool {
        let Some(own) = &self.own else { return false };
        self.has_quota(key) || own.closed.contains_key(&key)
    }

    /// Returns whether any key was asked for a quota, or has one.
    pub(super) fn has_quotas(&self) -> bool {
        self.own.as_ref().is_some_and(|own| !own.quotas.is_empty())
    }

    /// Returns whether a key needs no quota to be asked for: it was, since it was new.
    pub(super) fn is_known(&self, key: Fingerprint) -> bool {
        self.own.as_ref().is_some_and(|own| own.quotas.contains_key(&key))
    }

    /// Forgets quotas that were asked for by keys that came to nothing.
    pub(super) fn sweep_quotas(&mut self) {
        let Self { own: Some(own), table, .. } = self else { return };
        if own.quotas.len() > own.most {
            own.quotas.retain(|key, quota| quota.is_kept || table.find(*key).is_some());
            own.most = 2 * own.quotas.len() + 64;
        }
    }

    /// Turns one away who waited, and will hear of it.
    pub(super) fn turn_away(&mut self, settings: &Settings<A>, place: Place, due: Instant) {
        self.own_mut(settings).refused.insert((place.key, place.id), due);
    }

    /// Returns when the turn would come of one who was turned away; asked by one who leaves.
    pub(super) fn turned_away(&mut self, place: Place) -> Option<Instant> {
        let due = self.own.as_mut()?.refused.remove(&(place.key, place.id))?;
        self.settle_own();
        Some(due)
    }

    /// Takes where a key may have a quota of its own, or be closed.
    #[cold]
    #[inline(never)] // nothing of it is prepared for by those who have nothing of their own
    pub(super) fn take_own<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        cost: u64,
        now: Instant,
        make: impl FnOnce(Grant) -> T,
    ) -> Result<Option<T>, Full> {
        self.settle(now);
        if self.opens(key, now) > now {
            let used = self.stamp(now);
            self.slot(key).into_iter().for_each(|slot| slot.used = used);
            self.refused += 1;
            return Ok(None);
        }
        let settings = self.terms(settings, key);
        self.take_by(&settings, key, cost, now, make)
    }

    /// Takes, now or later, where a key may have a quota of its own, or be closed.
    #[cold]
    #[inline(never)] // as `take_own`
    pub(super) fn reserve_own<T>(
        &mut self,
        settings: &Settings<A>,
        key: Fingerprint,
        request: Request,
        now: Instant,
        make: impl Fn(Grant) -> T,
    ) -> Result<Turn<T>, Full> {
        self.settle(now);
        let settings = self.terms(settings, key);
        if self.opens(key, now) == now
            && let Some(turn) = self.at_once(&settings, key, request, now, &make)
        {
            return Ok(turn);
        }
        Ok(self.reserve_in_line(&settings, key, request, now)?.map(make))
    }
}
