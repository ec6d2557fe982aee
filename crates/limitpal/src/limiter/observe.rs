//! Who wants to hear of a limiter's refusals, and of what comes before them.

use std::sync::Arc;

use super::{AnyLimiter, Kind, Part, View, sure};
use crate::config::InvalidConfig;
use crate::stats::LimiterStats;
use crate::teller::{Event, Observer, Subscription};

/// The share of a limit from which on a key is near it, unless one says otherwise.
const NEAR: f64 = 0.8;

impl AnyLimiter {
    /// Calls `observer` with each [`Event`] from now on, near a limit being at 80 % of it.
    ///
    /// It is called in the thread or task whose call it tells of, before that call returns and under
    /// no lock: a slow observer makes that call longer, and no other. Where it has to do more than
    /// count, let it hand the event on: to a channel with a bound, say. Its panic ends in it and is
    /// counted ([`Subscription::panics`]). What an observer does itself is not told of.
    ///
    /// - [`Event::Refused`] once for each refusal.
    /// - [`Event::NearLimit`] when a call brings what is used of a key up to the share:
    ///   `used_before / limit < share <= used / limit`, in whole permits, those who wait included. So
    ///   once each time it comes up to it, however many calls follow.
    /// - [`Event::KeysGrowLikeCalls`] when of 4,096 calls at least nine in ten came with a key that
    ///   the limiter did not remember and that had not come before among them; not again before it
    ///   has stopped being so. It takes 8 KiB.
    /// - [`Event::EvictedLive`] when `max_buckets` has cost a key that was in use.
    ///
    /// The calls of an executor are told of, those of a composite on its parts are not: observe
    /// the composite. Where nobody observes, a call reads one flag more.
    ///
    /// ```
    /// use limitpal::{Event, MockClock, Rate, TokenBucket};
    /// use std::sync::mpsc;
    ///
    /// let builder = TokenBucket::builder(5, Rate::per_second(1.0)?);
    /// let limiter = builder.clock(MockClock::new()).build()?;
    /// let (events, heard) = mpsc::sync_channel(1000);
    /// let subscription = limiter.observe(move |event| {
    ///     let _full = events.try_send(event.clone());
    /// });
    /// let _answers = limiter.allow_many(["ann"; 6]);
    /// subscription.close();
    ///
    /// let kinds: Vec<_> = heard.try_iter().map(|event| match event {
    ///     Event::NearLimit { used, limit, .. } => format!("{used} of {limit}"),
    ///     Event::Refused { key, .. } => format!("refused {key}"),
    ///     _ => "another".to_owned(),
    /// }).collect();
    /// assert_eq!(vec!["4 of 5", "refused ann"], kinds);
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn observe(&self, observer: impl Fn(&Event) + Send + Sync + 'static) -> Subscription {
        let subscription = self.listen(NEAR, Arc::new(observer));
        subscription.expect("four fifths is a share")
    }

    /// As [`observe`](Self::observe), near a limit being at another share of it, above 0 and 1 at
    /// most. Each observer has its own.
    ///
    /// # Errors
    ///
    /// Another share.
    pub fn observe_near(
        &self,
        near_limit: f64,
        observer: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Result<Subscription, InvalidConfig> {
        self.listen(near_limit, Arc::new(observer))
    }

    /// Returns what became of its calls. Each shard's lock is taken once, for some nanoseconds.
    ///
    /// The counts are kept where a call writes anyway: under the lock of its key's shard, in the word
    /// of the one bucket for everybody, in a lane of each thread's own. Those of several limiters are
    /// their own, and their waits are those of their parts.
    ///
    /// ```
    /// use limitpal::{MockClock, Rate, TokenBucket};
    ///
    /// let builder = TokenBucket::builder(2, Rate::per_second(1.0)?).clock(MockClock::new());
    /// let limiter = builder.build()?;
    /// let _answers = limiter.allow_many(["ann", "ann", "ann", "bob"]);
    ///
    /// let stats = limiter.stats();
    /// assert_eq!((3, 1, 2), (stats.admitted, stats.refused, stats.keys));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    pub fn stats(&self) -> LimiterStats {
        sure(match &self.0 {
            Kind::Keyed(keyed) => Part::stats(&**keyed),
            Kind::Part(part) => part.stats(),
            Kind::Composite(composite) => composite.stats(),
        })
    }

    /// Returns how it is asked: a detour leads past those who listen.
    #[inline(always)]
    pub(super) fn view(&self) -> View<'_> {
        match &self.0 {
            Kind::Keyed(keyed) if !keyed.teller().is_heard() => View::Keyed(keyed),
            Kind::Keyed(keyed) => View::Part(&**keyed),
            Kind::Part(part) => View::Part(&**part),
            Kind::Composite(composite) => View::Composite(composite),
        }
    }

    fn listen(&self, near_limit: f64, observer: Observer) -> Result<Subscription, InvalidConfig> {
        match &self.0 {
            Kind::Keyed(keyed) => {
                keyed.teller().observe(near_limit, observer, keyed.store().evicted_live())
            }
            Kind::Part(part) => part.teller().observe(near_limit, observer, part.evicted_live()),
            Kind::Composite(composite) => composite.teller().observe(near_limit, observer, 0),
        }
    }
}
