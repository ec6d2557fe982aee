//! What observers of several limiters hear: the answer of all, by the part with the least left.

use super::{Composite, Tells};
use crate::clock::TimeSource;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::store::Sight;
use crate::teller::{Seen, Teller};

impl<S: TimeSource> Composite<S> {
    /// Returns who listens.
    pub fn teller(&self) -> &Teller {
        match &self.tells {
            Tells::Own(teller) => teller,
            Tells::Part(part) => part.teller(),
            Tells::Composite(all) => all.teller(),
        }
    }

    /// Looks before a call: whether a part does not remember the key. None where nobody listens.
    pub fn watch(&self, key: &str) -> Result<Option<bool>, S::Error> {
        if !self.teller().is_heard() {
            return Ok(None);
        }
        for part in &self.parts {
            if part.per_key() && !part.contains(key)? {
                return Ok(Some(true));
            }
        }
        Ok(Some(false))
    }

    /// Tells of a call that was watched.
    pub fn tell(
        &self,
        (key, cost): (&str, u64),
        watched: Option<bool>,
        refused: Option<RetryAfter>,
    ) -> Result<(), S::Error> {
        let Some(is_new) = watched else { return Ok(()) };
        // What only holds has no share of anything.
        let mut sight = Sight { limit: 1, before: 0, after: 0, is_new };
        if refused.is_none() && !self.parts.is_empty() {
            let standing = self.worst(|part| part.peek(key, 1))?;
            sight = Sight::behind(&Decision { allowed: true, ..standing }, cost, is_new);
        }
        let evicted_live = match &self.tells {
            Tells::Part(part) => part.evicted_live(),
            Tells::Own(_) | Tells::Composite(_) => 0,
        };
        let Sight { limit, before, after, is_new } = sight;
        let seen = Seen { key, cost, limit, before, after, refused, is_new, evicted_live };
        self.teller().saw(&seen);
        Ok(())
    }

    /// Returns when a call that was refused may come back, as far as that is known.
    pub fn refused_until(&self, key: &str, cost: u64) -> Result<RetryAfter, S::Error> {
        let mut longest = RetryAfter::Now;
        for part in &self.parts {
            longest = longest.max(part.peek(key, cost)?.retry_after);
        }
        for door in &self.doors {
            longest = longest.max(door.quote(key, cost, None)?);
        }
        // Between the two somebody may have left room.
        Ok(if longest == RetryAfter::Now { RetryAfter::Unknown } else { longest })
    }
}
