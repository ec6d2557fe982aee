//! The calls of a limiter that somebody observes: decided as all others, and told of.
//!
//! What a composite asks of its parts is not told of: those who observe the composite hear of it.

use super::part::Part;
use crate::clock::TimeSource;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::store::{Request, Sight, Turn};
use crate::teller::Seen;

/// As `allow`.
#[cold]
#[inline(never)] // those whom nobody hears prepare for nothing
pub(super) fn allow<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    key: &str,
    cost: u64,
) -> Result<bool, S::Error> {
    Ok(check(part, key, cost)?.allowed)
}

/// As `check`.
#[cold]
pub(super) fn check<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    key: &str,
    cost: u64,
) -> Result<Decision, S::Error> {
    let (decision, sight) = part.check_watched(key, cost)?;
    let refused = (!decision.allowed).then_some(decision.retry_after);
    tell(part, (key, cost), sight, refused);
    Ok(decision)
}

/// As `reserve`.
#[cold]
pub(super) fn reserve<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    key: &str,
    request: Request,
) -> Result<Turn, S::Error> {
    let (turn, sight) = part.reserve_watched(key, request)?;
    let refused = match turn {
        Turn::Refused(retry_after) => Some(retry_after),
        Turn::Now(_) | Turn::Wait(..) => None,
    };
    tell(part, (key, request.cost), sight, refused);
    Ok(turn)
}

/// Tells of one whose time is over while it waited.
pub fn gave_up<S: TimeSource, P: Part<S> + ?Sized>(part: &P, key: &str, cost: u64) {
    if part.teller().is_heard() {
        let sight = Sight { limit: 1, before: 0, after: 0, is_new: false };
        tell(part, (key, cost), sight, Some(RetryAfter::Unknown));
    }
}

fn tell<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    (key, cost): (&str, u64),
    sight: Sight,
    refused: Option<RetryAfter>,
) {
    let Sight { limit, before, after, is_new } = sight;
    let evicted_live = part.evicted_live();
    part.teller().saw(&Seen { key, cost, limit, before, after, refused, is_new, evicted_live });
}
