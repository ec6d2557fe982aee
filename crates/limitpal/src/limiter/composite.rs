//! All or nothing over several limiters.

mod acquire;
mod counts;
mod denied;
mod handle;
mod holding;
mod parts;
mod permit;
mod step;
mod taken;
mod told;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::counts::Counts;
pub(crate) use self::denied::Denied;
pub use self::handle::CompositeLimiter;
pub use self::holding::HoldingLimiter;
pub(super) use self::parts::Parts;
pub use self::permit::CompositePermit;
pub use self::step::{Arrival, Held, Step, Wish};
use self::taken::Taken;
use super::concurrency::Door;
use super::part::Part;
use crate::clock::TimeSource;
use crate::config::InvalidConfig;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::store::Grant;
use crate::teller::Teller;

/// What stands behind the door of a bulkhead.
#[derive(Debug)]
pub enum Behind<S: TimeSource> {
    /// One limiter.
    Part(Arc<dyn Part<S>>),
    /// Several.
    Composite(Arc<Composite<S>>),
}

/// Decides over several limiters; whoever waits does it elsewhere.
pub struct Composite<S: TimeSource> {
    /// Those that count how often something goes.
    parts: Vec<Arc<dyn Part<S>>>,
    /// Those that count how many are at it.
    doors: Vec<Arc<Door<S::Error>>>,
    source: S,
    tells: Tells<S>,
    counts: Counts,
}

/// To whom it tells what all decide.
enum Tells<S: TimeSource> {
    Own(Teller),
    /// To those who observe its one limiter: the rest of it they know nothing of.
    Part(Arc<dyn Part<S>>),
    Composite(Arc<Composite<S>>),
}

impl<S: TimeSource> Composite<S> {
    /// Joins limiters.
    pub fn new(
        parts: Vec<Arc<dyn Part<S>>>,
        doors: Vec<Arc<Door<S::Error>>>,
        source: S,
    ) -> Result<Self, InvalidConfig> {
        if parts.is_empty() && doors.is_empty() {
            return Err(InvalidConfig::new("limiters", "empty", "give at least one limiter"));
        }
        if any_twice(&parts) || any_twice(&doors) {
            let advice = "give each limiter once, or make a second of its kind";
            return Err(InvalidConfig::new("limiters", "the same limiter twice", advice));
        }
        let counts = Counts::new(parts.len() + doors.len());
        let tells = Tells::Own(Teller::default());
        Ok(Self { parts, doors, source, tells, counts })
    }

    /// Puts the door of a bulkhead before a limiter, if there is one. Those who observe the limiter
    /// hear of what comes to it.
    pub fn behind(
        door: Arc<Door<S::Error>>,
        limiter: Option<Behind<S>>,
        source: S,
    ) -> Result<Self, InvalidConfig> {
        let (parts, mut doors, tells) = match limiter {
            None => (Vec::new(), Vec::new(), Tells::Own(Teller::default())),
            Some(Behind::Part(part)) => (vec![part.clone()], Vec::new(), Tells::Part(part)),
            Some(Behind::Composite(all)) => {
                (all.parts.clone(), all.doors.clone(), Tells::Composite(all))
            }
        };
        doors.insert(0, door);
        Ok(Self { tells, ..Self::new(parts, doors, source)? })
    }

    /// Returns its parts that count how often something goes.
    pub fn parts(&self) -> &[Arc<dyn Part<S>>] {
        &self.parts
    }

    /// Returns its parts that count how many are at it. Without any, a permit holds nothing.
    pub fn doors(&self) -> &[Arc<Door<S::Error>>] {
        &self.doors
    }

    /// Returns the clock it reads.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns the most permits admitted in any window: the least of its parts' bounds; none where
    /// all that is counted is how many are at it.
    pub fn bound(&self, window: Duration) -> Option<u64> {
        self.parts.iter().map(|part| part.bound(window)).min()
    }

    /// Takes from every part if possible now; never waits.
    pub fn allow(&self, key: &str, cost: u64) -> Result<bool, S::Error> {
        if self.teller().is_heard() {
            return Ok(self.check(key, cost)?.allowed);
        }
        Ok(self.take(key, cost)?.is_some())
    }

    /// As `allow`, with the numbers.
    pub fn check(&self, key: &str, cost: u64) -> Result<Decision, S::Error> {
        let watched = self.watch(key)?;
        let decision = loop {
            if self.take_or_blame(key, cost)?.is_ok() {
                self.counts.admit();
                break self.standing(key)?;
            }
            // Between the two somebody may have left room.
            let refused = self.peek(key, cost)?;
            if !refused.allowed {
                self.counts.refuse(self.refuser(key, cost)?);
                break refused;
            }
        };
        let refused = (!decision.allowed).then_some(decision.retry_after);
        self.tell((key, cost), watched, refused)?;
        Ok(decision)
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
    pub fn take(
        &self,
        key: &str,
        cost: u64,
    ) -> Result<Option<(Vec<Grant>, CompositePermit)>, S::Error> {
        let taken = self.take_or_blame(key, cost)?;
        match taken {
            Ok(_) => self.counts.admit(),
            Err(by) => self.counts.refuse(by),
        }
        Ok(taken.ok())
    }

    /// As `take`; says which part refuses.
    fn take_or_blame(&self, key: &str, cost: u64) -> Result<TakenOrBlamed, S::Error> {
        // Asking first leaves a refused composite's parts untouched, recency and all.
        for (rank, part) in self.parts.iter().enumerate() {
            if !part.peek(key, cost)?.allowed {
                return Ok(Err(rank));
            }
        }
        for (rank, door) in self.doors.iter().enumerate() {
            if door.quote(key, cost, None)? != RetryAfter::Now {
                return Ok(Err(self.parts.len() + rank));
            }
        }
        let mut taken = Taken::nothing(&self.parts);
        // If another thread was faster, all goes back.
        if !taken.enter_each(&self.doors, |door| door.enter(key, cost, None, false))? {
            return Ok(Err(self.parts.len() + taken.doors()));
        }
        if !taken.take_each(|part| part.take(key, cost))? {
            return Ok(Err(taken.parts()));
        }
        Ok(Ok(taken.into_all()))
    }

    /// Gives back what was taken from the parts, in their order.
    pub fn give_back(&self, grants: Vec<Grant>) {
        drop(Taken::each(&self.parts, grants));
    }

    /// Closes a key in every part; false if there is one that does not.
    pub fn penalise(&self, key: &str, span: Duration) -> Result<bool, S::Error> {
        let mut all = true;
        for part in &self.parts {
            all &= part.penalise(key, span)?;
        }
        Ok(all)
    }

    /// Gives back to every part so much of what a key took last.
    pub fn return_some(&self, key: &str, cost: u64) -> Result<(), S::Error> {
        self.parts.iter().try_for_each(|part| part.return_some(key, cost))
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

/// What was taken from all, or the rank of the part that refuses.
type TakenOrBlamed = Result<(Vec<Grant>, CompositePermit), usize>;

fn any_twice<P: ?Sized>(parts: &[Arc<P>]) -> bool {
    let twice = |(rank, part)| parts[..rank].iter().any(|other| Arc::ptr_eq(other, part));
    parts.iter().enumerate().any(twice)
}

/// Returns whether a part's answer says more than another's: a longer wait, or less left.
fn is_worse(one: &Decision, other: &Decision) -> bool {
    let share =
        |decision: &Decision, of: &Decision| u64::from(decision.remaining) * u64::from(of.limit);
    one.retry_after > other.retry_after
        || one.retry_after == other.retry_after && share(one, other) < share(other, one)
}

impl<S: TimeSource> fmt::Debug for Composite<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limiters: Vec<&dyn fmt::Debug> = self.parts.iter().map(|part| part as _).collect();
        limiters.extend(self.doors.iter().map(|door| door as &dyn fmt::Debug));
        f.debug_struct("CompositeLimiter").field("limiters", &limiters).finish()
    }
}
