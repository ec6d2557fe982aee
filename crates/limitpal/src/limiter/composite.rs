//! All or nothing over several limiters.

mod handle;

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::handle::CompositeLimiter;
use super::ask::Ask;
use super::part::Part;
use super::quota::Quota;
use super::sure;
use super::turn::Seat;
use crate::clock::{SharedClock, TimeSource};
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::refusal::RateLimitExceeded;
use crate::retry_after::RetryAfter;
use crate::store::{Grant, Place, Request, Turn};

/// When one came. Who came first goes first, in whichever part it waits just now: else those who
/// wait in different parts would hand each other their places for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Arrival(NonZeroU64);

impl Arrival {
    /// Returns an arrival later than all before it.
    pub fn next() -> Self {
        static ARRIVALS: AtomicU64 = AtomicU64::new(0);
        Self(NonZeroU64::MIN.saturating_add(ARRIVALS.fetch_add(1, Ordering::Relaxed)))
    }
}

/// What one asks all parts for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// How many permits.
    pub cost: u64,
    /// The longest wait.
    pub timeout: Option<Duration>,
    /// When it came.
    pub arrival: Arrival,
}

/// What is next for one who acquires from all parts.
#[derive(Debug)]
pub enum Step {
    /// Go: all have been taken from.
    Go(Vec<Grant>),
    /// Wait for a place in this part, then ask again.
    Wait(usize, Place, Duration),
    /// It would take too long. Nothing was taken.
    Refused(RetryAfter),
}

/// Decides over several keyed limiters; whoever waits does it elsewhere.
pub struct Composite<S: TimeSource> {
    parts: Vec<Arc<dyn Part<S>>>,
    source: S,
}

impl<S: TimeSource> Composite<S> {
    /// Joins keyed limiters.
    pub fn new(parts: Vec<Arc<dyn Part<S>>>, source: S) -> Result<Self, InvalidConfig> {
        if parts.is_empty() {
            return Err(InvalidConfig::new("limiters", "empty", "give at least one limiter"));
        }
        let twice = |(rank, part)| parts[..rank].iter().any(|other| Arc::ptr_eq(other, part));
        if parts.iter().enumerate().any(twice) {
            let advice = "give each limiter once, or make a second of its kind";
            return Err(InvalidConfig::new("limiters", "the same limiter twice", advice));
        }
        Ok(Self { parts, source })
    }

    /// Returns its parts.
    pub fn parts(&self) -> &[Arc<dyn Part<S>>] {
        &self.parts
    }

    /// Returns the clock it reads.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the most permits admitted in any window: the least of its parts' bounds.
    pub fn bound(&self, window: Duration) -> u64 {
        let bounds = self.parts.iter().map(|part| part.bound(window));
        bounds.min().expect("a composite has parts")
    }

    /// Takes from every part if possible now; never waits.
    pub fn allow(&self, key: &str, cost: u64) -> Result<bool, S::Error> {
        Ok(self.take(key, cost)?.is_some())
    }

    /// As `allow`, with the numbers.
    pub fn check(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        loop {
            if self.take(key, cost)?.is_some() {
                return self.standing(key);
            }
            // Between the two somebody may have left room.
            let refused = self.peek(key, cost)?;
            if !refused.allowed {
                return Ok(refused);
            }
        }
    }

    /// Shows the part with the longest wait, or when all allow it the one with the least left.
    pub fn peek(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        self.worst(|part| part.peek(key, cost))
    }

    /// Shows the part with the least left after a take.
    fn standing(&self, key: &str) -> Result<Decision, S::Error> {
        self.worst(|part| {
            let decision = part.peek(key, 1)?;
            Ok(Decision { allowed: true, retry_after: RetryAfter::Now, ..decision })
        })
    }

    fn worst(
        &self,
        look: impl Fn(&dyn Part<S>) -> Result<Decision, S::Error>,
    ) -> Result<Decision, S::Error> {
        let mut worst = look(&*self.parts[0])?;
        for part in &self.parts[1..] {
            let decision = look(&**part)?;
            if is_worse(&decision, &worst) {
                worst = decision;
            }
        }
        Ok(worst)
    }

    /// Takes from every part, or from none.
    pub fn take(&self, key: &str, cost: u64) -> Result<Option<Vec<Grant>>, S::Error> {
        // Asking first leaves a refused composite's parts untouched, recency and all.
        for part in &self.parts {
            if !part.peek(key, cost)?.allowed {
                return Ok(None);
            }
        }
        self.take_each(None, |part| part.take(key, cost))
    }

    /// Takes from every part but the one held; if another thread was faster, gives all back.
    fn take_each(
        &self,
        held: Option<(usize, Grant)>,
        take: impl Fn(&dyn Part<S>) -> Result<Option<Grant>, S::Error>,
    ) -> Result<Option<Vec<Grant>>, S::Error> {
        let mut taken = Taken { parts: &self.parts, grants: held.into_iter().collect() };
        for (index, part) in self.parts.iter().enumerate() {
            if held.is_none_or(|(held, _)| held != index) {
                let Some(grant) = take(&**part)? else { return Ok(None) };
                taken.grants.push((index, grant));
            }
        }
        let mut grants = std::mem::take(&mut taken.grants);
        grants.sort_unstable_by_key(|(index, _)| *index);
        Ok(Some(grants.into_iter().map(|(_, grant)| grant).collect()))
    }

    /// Gives back what was taken from the parts, in their order.
    pub fn give_back(&self, grants: Vec<Grant>) {
        let grants = grants.into_iter().enumerate().collect();
        drop(Taken { parts: &self.parts, grants });
    }

    /// Decides what is next for one who has waited in part `held` already, or in none yet.
    ///
    /// `wish.timeout` is what remains of it; `fixed` says which parts' sleepers cannot be moved.
    pub fn step(
        &self,
        key: &str,
        wish: Wish,
        mut held: Option<(usize, Grant)>,
        fixed: impl Fn(&S) -> bool,
    ) -> Result<Step, S::Error> {
        let Wish { cost, timeout, arrival } = wish;
        let request = Request { cost, timeout, fixed: true, ticket: Some(arrival.0) };
        loop {
            // Given back on every way out but the one on which it goes along.
            let kept = Taken { parts: &self.parts, grants: held.take().into_iter().collect() };
            let (longest, wait) = self.longest_wait(key, request, kept.first())?;
            if wait == RetryAfter::Now {
                match self.take_each(kept.into_first(), |part| part.take_at_once(key, request))? {
                    Some(grants) => return Ok(Step::Go(grants)),
                    None => continue,
                }
            }
            drop(kept);
            let Some(span) = wait.duration() else { return Ok(Step::Refused(wait)) };
            if timeout.is_some_and(|timeout| span > timeout) {
                return Ok(Step::Refused(wait));
            }
            let part = &self.parts[longest];
            let request = Request { fixed: fixed(part.source()), ..request };
            match part.reserve(key, request)? {
                Turn::Now(grant) => held = Some((longest, grant)),
                Turn::Wait(place, wait) => return Ok(Step::Wait(longest, place, wait)),
                Turn::Refused(retry_after) => return Ok(Step::Refused(retry_after)),
            }
        }
    }

    /// Returns the part in which one would wait longest, the one held apart.
    fn longest_wait(
        &self,
        key: &str,
        request: Request,
        held: Option<usize>,
    ) -> Result<(usize, RetryAfter), S::Error> {
        let mut longest = (0, RetryAfter::Now);
        for (index, part) in self.parts.iter().enumerate() {
            if held != Some(index) {
                let wait = part.quote(key, request)?;
                if wait > longest.1 {
                    longest = (index, wait);
                }
            }
        }
        Ok(longest)
    }

    /// Forgets one key in every part.
    pub fn reset(&self, key: &str) -> Result<(), S::Error> {
        self.parts.iter().try_for_each(|part| part.reset(key))
    }

    /// Forgets all keys in every part.
    pub fn reset_all(&self) -> Result<(), S::Error> {
        self.parts.iter().try_for_each(|part| part.reset_all())
    }
}

/// Returns whether a part's answer says more than another's: a longer wait, or less left.
fn is_worse(one: &Decision, other: &Decision) -> bool {
    let share =
        |decision: &Decision, of: &Decision| u64::from(decision.remaining) * u64::from(of.limit);
    one.retry_after > other.retry_after
        || one.retry_after == other.retry_after && share(one, other) < share(other, one)
}

/// Grants by part, given back when dropped.
struct Taken<'c, S: TimeSource> {
    parts: &'c [Arc<dyn Part<S>>],
    grants: Vec<(usize, Grant)>,
}

impl<S: TimeSource> Taken<'_, S> {
    fn first(&self) -> Option<usize> {
        self.grants.first().map(|(index, _)| *index)
    }

    fn into_first(mut self) -> Option<(usize, Grant)> {
        self.grants.pop()
    }
}

impl<S: TimeSource> Drop for Taken<'_, S> {
    fn drop(&mut self) {
        for (index, grant) in self.grants.drain(..) {
            self.parts[index].give_back(grant);
        }
    }
}

impl<S: TimeSource> fmt::Debug for Composite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompositeLimiter").field("limiters", &self.parts).finish()
    }
}

impl Composite<SharedClock> {
    pub(super) async fn acquire(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        let (start, arrival) = (self.source.now(), Arrival::next());
        let mut held = None;
        loop {
            let waited = self.source.now().saturating_duration_since(start);
            let timeout = timeout.map(|timeout| timeout.saturating_sub(waited));
            let wish = Wish { cost: ask.cost(), timeout, arrival };
            match self.next(ask, wish, held.take(), |_| false) {
                Step::Go(grants) => return Ok(Quota::each(grants, waited)),
                Step::Refused(retry_after) => return Err(RateLimitExceeded::new(retry_after)),
                Step::Wait(part, place, _) => {
                    held = Some((part, Seat::new(&*self.parts[part], place).await));
                }
            }
        }
    }

    pub(super) fn acquire_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        let (start, arrival) = (self.source.now(), Arrival::next());
        let mut held = None;
        loop {
            let waited = self.source.now().saturating_duration_since(start);
            let timeout = timeout.map(|timeout| timeout.saturating_sub(waited));
            let wish = Wish { cost: ask.cost(), timeout, arrival };
            match self.next(ask, wish, held.take(), |clock| !clock.parks()) {
                Step::Go(grants) => return Ok(Quota::each(grants, waited)),
                Step::Refused(retry_after) => return Err(RateLimitExceeded::new(retry_after)),
                Step::Wait(part, place, wait) => {
                    held = Some((part, Seat::new(&*self.parts[part], place).turn_blocking(wait)));
                }
            }
        }
    }

    fn next(
        &self,
        ask: Ask<'_>,
        wish: Wish,
        held: Option<(usize, Grant)>,
        fixed: impl Fn(&SharedClock) -> bool,
    ) -> Step {
        sure(self.step(ask.key(), wish, held, fixed))
    }
}
