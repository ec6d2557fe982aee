//! Which limiter has refused, and how it stands.

use super::{AnyLimiter, Ask, Composite, HoldingLimiter, Kind, Part, sure};
use crate::clock::SharedClock;
use crate::refusal::{Explanation, RateLimitExceeded};
use crate::retry_after::RetryAfter;

impl AnyLimiter {
    /// Explains a refusal of this limiter: which part of it, in numbers, and what would change that.
    ///
    /// The refusal says when to come back as it was told; limit and what remains are read now, so a
    /// refusal costs nothing more for being explained. Of several limiters it is the one with the
    /// longest wait. See [`Explanation`].
    pub fn explain<'k>(&self, ask: impl Into<Ask<'k>>, refusal: RateLimitExceeded) -> Explanation {
        let ask = ask.into();
        match &self.0 {
            Kind::Keyed(keyed) => of_part(&**keyed, ask, refusal),
            Kind::Part(part) => of_part(&**part, ask, refusal),
            Kind::Composite(composite) => of_composite(composite, ask, refusal),
        }
    }
}

impl HoldingLimiter {
    /// Explains a refusal of this limiter, as [`AnyLimiter::explain`] does.
    pub fn explain<'k>(&self, ask: impl Into<Ask<'k>>, refusal: RateLimitExceeded) -> Explanation {
        self.any().explain(ask, refusal)
    }
}

fn of_part(part: &dyn Part<SharedClock>, ask: Ask<'_>, refusal: RateLimitExceeded) -> Explanation {
    let seen = sure(part.peek(ask.key(), ask.cost()));
    let explained = refusal.explained_by(part.name(), Some(seen.limit)).of_key(ask.key());
    explained.with("limit", seen.limit).with("remaining", seen.remaining).with("cost", ask.cost())
}

fn of_composite(
    composite: &Composite<SharedClock>,
    ask: Ask<'_>,
    refusal: RateLimitExceeded,
) -> Explanation {
    let waits = |part: &dyn Part<SharedClock>| sure(part.peek(ask.key(), ask.cost())).retry_after;
    let longest = composite.parts().iter().max_by_key(|part| waits(&***part));
    let shut = composite.doors().iter().find(|door| {
        let quote = door.quote(ask.key(), ask.cost(), None);
        sure(quote) != RetryAfter::Now
    });
    let is_known = refusal.retry_after().duration().is_some();
    match (longest, shut) {
        (Some(part), None) => of_part(&**part, ask, refusal),
        (Some(part), _) if is_known => of_part(&**part, ask, refusal),
        (_, Some(door)) => {
            let (limit, key) = (door.gates().limit(), sure(door.fingerprint(ask.key())));
            let explained = refusal.explained_by("ConcurrencyLimiter", Some(limit));
            let explained = explained.of_key(ask.key()).with("limit", limit);
            let waiting = door.gates().waiting(key);
            explained.with("in flight", door.gates().inside(key)).with("waiting", waiting)
        }
        (None, None) => refusal.explain().of_key(ask.key()),
    }
}
