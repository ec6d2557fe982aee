//! An executor for functions of one type of value: what stands around a whole run.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::ResilientExecutor;
use super::error::RunError;
use super::fallback::Fallback;
use super::flights::{Flights, Landed, Lead, Role};
use crate::cache::{Cache, Found};
use crate::call::ExecutorStats;

/// A [`ResilientExecutor`] for functions of one type of value, with what stands around a whole run:
/// a [`Fallback`], and within it a [`Cache`].
///
/// It is made of one by [`with_fallback`](ResilientExecutor::with_fallback) or
/// [`with_cache`](ResilientExecutor::with_cache). The executor within is the same as before: its
/// other handles count and limit together with this one. A clone shares everything.
pub struct TypedExecutor<T, E> {
    executor: ResilientExecutor<E>,
    fallback: Option<Fallback<T, E>>,
    cache: Option<Cache<T>>,
    flights: Arc<Flights<Answer<T, E>>>,
}

/// What a run came to, for all who wait for it.
type Answer<T, E> = Result<Arc<T>, RunError<E>>;

impl<E> ResilientExecutor<E> {
    /// Returns an executor that answers errors with something else.
    pub fn with_fallback<T>(self, fallback: Fallback<T, E>) -> TypedExecutor<T, E> {
        TypedExecutor::of(self).with_fallback(fallback)
    }

    /// Returns an executor that keeps what calls gave, for
    /// [`run_cached`](TypedExecutor::run_cached).
    pub fn with_cache<T>(self, cache: Cache<T>) -> TypedExecutor<T, E> {
        TypedExecutor::of(self).with_cache(cache)
    }
}

impl<T, E> TypedExecutor<T, E> {
    fn of(executor: ResilientExecutor<E>) -> Self {
        Self { executor, fallback: None, cache: None, flights: Arc::default() }
    }

    /// Returns it with another fallback, in place of the one before.
    #[must_use]
    pub fn with_fallback(mut self, fallback: Fallback<T, E>) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// Returns it with another cache, in place of the one before.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache<T>) -> Self {
        self.cache = Some(cache);
        self.flights = Arc::default();
        self
    }

    /// Returns the executor within.
    pub fn executor(&self) -> &ResilientExecutor<E> {
        &self.executor
    }

    /// Returns what became of the runs that have ended, and how many the fallback has answered.
    pub fn stats(&self) -> ExecutorStats {
        self.executor.stats()
    }

    /// Returns what the caller gets in place of an error.
    fn answered(&self, error: RunError<E>) -> Result<T, RunError<E>> {
        let Some(fallback) = &self.fallback else { return Err(error) };
        let answer = fallback.answer(error);
        if answer.is_ok() {
            self.executor.parts.plan.ledger.fell_back();
        }
        answer
    }
}

impl<T, E: 'static> TypedExecutor<T, E> {
    /// Runs `function` as [`ResilientExecutor::run`] does; the fallback answers an error.
    ///
    /// # Errors
    ///
    /// What the fallback does not answer.
    pub async fn run<F, Called>(&self, key: &str, function: F) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Called,
        Called: Future<Output = Result<T, E>>,
    {
        self.executor.run(key, function).await.or_else(|error| self.answered(error))
    }

    /// Blocks the thread; otherwise as [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// What the fallback does not answer.
    pub fn run_blocking(
        &self,
        key: &str,
        function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        self.executor.run_blocking(key, function).or_else(|error| self.answered(error))
    }
}

/// What comes first for a call that may be cached.
enum First<'c, T, E> {
    /// There is a fresh value.
    Hit(Arc<T>),
    /// The call has a role in a flight; an outdated value is better than an error.
    Role(Role<'c, Answer<T, E>>, Option<Arc<T>>, u64),
}

impl<T: Clone, E: Clone + 'static> TypedExecutor<T, E> {
    /// Answers from the cache, else runs `function`, and keeps what it gives.
    ///
    /// `call` says what is asked for: equal texts are equal calls, so name the function in it as
    /// well as its arguments. `key` says whose quota is taken, if there is a run.
    ///
    /// Of equal calls at the same time one makes the run, and what it comes to is everybody's: its
    /// value, or its error. If it is dropped, another takes over. A function that makes the same
    /// call again, and awaits it, waits for itself.
    ///
    /// ```
    /// use limitpal::{Cache, ResilientExecutor};
    /// use std::time::Duration;
    ///
    /// let cache = Cache::new(Duration::from_secs(60))?;
    /// let executor = ResilientExecutor::<&str>::builder().build()?.with_cache(cache.clone());
    ///
    /// let rate = |answer| executor.run_cached_blocking("bank", "rate/EUR", || answer);
    /// assert_eq!(Ok(108), rate(Ok(108)));
    /// assert_eq!(Ok(108), rate(Err("not asked")));
    /// cache.invalidate("rate/EUR");
    /// assert_eq!(Ok(109), rate(Ok(109)));
    /// # Ok::<(), limitpal::InvalidConfig>(())
    /// ```
    ///
    /// # Errors
    ///
    /// What the fallback does not answer, if there is no value that is stale.
    pub async fn run_cached<F, Called>(
        &self,
        key: &str,
        call: &str,
        mut function: F,
    ) -> Result<T, RunError<E>>
    where
        F: FnMut() -> Called,
        Called: Future<Output = Result<T, E>>,
    {
        let Some(cache) = &self.cache else { return self.run(key, function).await };
        loop {
            let (role, stale, epoch) = match self.first(cache, call, false) {
                First::Hit(value) => return Ok(T::clone(&value)),
                First::Role(role, stale, epoch) => (role, stale, epoch),
            };
            let answer = match role {
                Role::Waits(flight) => match flight.landing().await {
                    Landed::Answer(answer) => {
                        cache.shelf().coalesced();
                        answer
                    }
                    Landed::Abandoned => continue,
                },
                Role::Leads(lead) => {
                    let answer = self.executor.run(key, &mut function).await;
                    self.landed(cache, Some(lead), call, epoch, answer)
                }
                Role::Alone => {
                    let answer = self.executor.run(key, &mut function).await;
                    self.landed(cache, None, call, epoch, answer)
                }
            };
            return self.given(cache, &answer, stale, epoch);
        }
    }

    /// Blocks the thread; otherwise as [`run_cached`](Self::run_cached). A function that makes the
    /// same call again makes a run of its own.
    ///
    /// # Errors
    ///
    /// As [`run_cached`](Self::run_cached).
    pub fn run_cached_blocking(
        &self,
        key: &str,
        call: &str,
        mut function: impl FnMut() -> Result<T, E>,
    ) -> Result<T, RunError<E>> {
        let Some(cache) = &self.cache else { return self.run_blocking(key, function) };
        loop {
            let (role, stale, epoch) = match self.first(cache, call, true) {
                First::Hit(value) => return Ok(T::clone(&value)),
                First::Role(role, stale, epoch) => (role, stale, epoch),
            };
            let lead = match role {
                Role::Waits(flight) => match flight.landing_blocking(&self.executor.parts.clock) {
                    Landed::Answer(answer) => {
                        cache.shelf().coalesced();
                        return self.given(cache, &answer, stale, epoch);
                    }
                    Landed::Abandoned => continue,
                },
                Role::Leads(lead) => Some(lead),
                Role::Alone => None,
            };
            let answer = self.executor.run_blocking(key, &mut function);
            let answer = self.landed(cache, lead, call, epoch, answer);
            return self.given(cache, &answer, stale, epoch);
        }
    }

    /// Looks into the cache, and joins a flight if there is nothing fresh.
    fn first<'c>(&'c self, cache: &Cache<T>, call: &'c str, blocks: bool) -> First<'c, T, E> {
        let shelf = cache.shelf();
        let now = || self.executor.parts.clock.now();
        let (found, epoch) = shelf.find(call, now());
        let stale = match found {
            Found::Fresh(value) => {
                shelf.hit();
                return First::Hit(value);
            }
            Found::Stale(value) => Some(value),
            Found::Nothing => None,
        };
        let role = self.flights.join(call, epoch, blocks);
        if let Role::Leads(_) = &role {
            // Between the two another flight may have landed; this one is abandoned then.
            if let (Found::Fresh(value), _) = shelf.find(call, now()) {
                shelf.hit();
                return First::Hit(value);
            }
            shelf.missed();
        } else if let Role::Alone = &role {
            shelf.missed();
        }
        First::Role(role, stale, epoch)
    }

    /// Ends a flight: keeps a value, and gives all who wait what its run came to.
    fn landed(
        &self,
        cache: &Cache<T>,
        lead: Option<Lead<'_, Answer<T, E>>>,
        call: &str,
        epoch: u64,
        answer: Result<T, RunError<E>>,
    ) -> Arc<Answer<T, E>> {
        let answer = Arc::new(answer.map(Arc::new));
        if let Ok(value) = &*answer {
            let now = self.executor.parts.clock.now();
            cache.shelf().keep(call.into(), Arc::clone(value), now, epoch);
        }
        if let Some(lead) = lead {
            lead.land(&answer);
        }
        answer
    }

    /// Returns what one caller gets.
    fn given(
        &self,
        cache: &Cache<T>,
        answer: &Answer<T, E>,
        stale: Option<Arc<T>>,
        epoch: u64,
    ) -> Result<T, RunError<E>> {
        // What was forgotten meanwhile stands in for nothing.
        match (answer, stale.filter(|_| cache.shelf().epoch() == epoch)) {
            (Ok(value), _) => Ok(T::clone(value)),
            (Err(_), Some(value)) => {
                cache.shelf().went_stale();
                Ok(T::clone(&value))
            }
            (Err(error), None) => self.answered(error.clone()),
        }
    }
}

impl<T, E> Clone for TypedExecutor<T, E> {
    fn clone(&self) -> Self {
        let Self { executor, fallback, cache, flights } = self;
        let (executor, fallback) = (executor.clone(), fallback.clone());
        Self { executor, fallback, cache: cache.clone(), flights: Arc::clone(flights) }
    }
}

impl<T, E> fmt::Debug for TypedExecutor<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedExecutor")
            .field("executor", &self.executor)
            .field("fallback", &self.fallback)
            .field("cache", &self.cache)
            .finish()
    }
}
