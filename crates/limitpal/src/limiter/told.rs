//! The calls of a limiter that somebody observes: decided as all others, and told of.
//!
//! What a composite asks of its parts is not told of: those who observe the composite hear of it.

use super::part::Part;
use crate::clock::TimeSource;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::store::{Request, Sight, Turn};
use crate::teller::Seen;
use crate::time::Instant;

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
    check_at(part, (key, cost), None)
}

/// As `allow_many`.
#[cold]
pub(super) fn allow_many<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    asks: &[(&str, u64)],
) -> Result<Vec<bool>, S::Error> {
    let now = if asks.is_empty() { None } else { Some(part.source().now()?) };
    asks.iter().map(|ask| Ok(check_at(part, *ask, now)?.allowed)).collect()
}

/// Returns what reads a clock whose first reading is there already, if it is.
pub(super) fn read_from<S: TimeSource>(
    source: &S,
    first: Option<Instant>,
) -> impl FnMut() -> Result<Instant, S::Error> {
    let mut first = first;
    move || first.take().map_or_else(|| source.now(), Ok)
}

fn check_at<S: TimeSource, P: Part<S> + ?Sized>(
    part: &P,
    (key, cost): (&str, u64),
    now: Option<Instant>,
) -> Result<Decision, S::Error> {
    let (decision, sight) = part.check_watched(key, cost, now)?;
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
