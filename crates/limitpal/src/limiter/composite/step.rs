//! What is next for one who acquires from all parts.

use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::concurrency::acquire::is_ready_to_wait;
use super::super::concurrency::{ConcurrencyPermit, Entered};
use super::taken::Taken;
use super::{Composite, CompositePermit};
use crate::clock::TimeSource;
use crate::gates::Queued;
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

/// What one has who has waited in one part.
#[derive(Debug)]
pub enum Held {
    /// Quota of the part with this number.
    Grant(usize, Grant),
    /// A permit of the door with this number.
    Permit(usize, ConcurrencyPermit),
}

/// What is next for one who acquires from all parts.
#[derive(Debug)]
pub enum Step {
    /// Go: all have been taken from. The permit is kept while the work lasts.
    Go(Vec<Grant>, CompositePermit),
    /// Wait for a place in this part, then ask again.
    Wait(usize, Place, Duration),
    /// Wait before this door for as long as the timeout has it, then ask again.
    Knock(usize, Queued),
    /// Quota of this part would come too late. Nothing was taken.
    Refused(RetryAfter, usize),
    /// This door has no permit in time. Nothing was taken.
    Shut(usize, RetryAfter),
}

/// What comes of beginning to wait: the next step, or what one has though nobody waited.
type Begun = ControlFlow<Step, Held>;

impl<S: TimeSource> Composite<S> {
    /// Decides what is next for one who has waited in one part already, or in none yet.
    ///
    /// `wish.timeout` is what remains of it; `fixed` says which parts' sleepers cannot be moved.
    ///
    /// One waits where it lasts longest: before a door, of which nobody knows how long, else for
    /// the quota that comes last. Nothing is held meanwhile, neither quota nor a permit: those who
    /// wait for each other's would wait for ever, and a permit would lie idle until quota comes.
    pub fn step(
        &self,
        key: &str,
        wish: Wish,
        mut held: Option<Held>,
        fixed: impl Fn(&S) -> bool,
    ) -> Result<Step, S::Error> {
        let Wish { cost, timeout, arrival } = wish;
        let request = Request { cost, timeout, fixed: true, ticket: Some(arrival.0) };
        loop {
            // Given back on every way out but the one on which it goes along.
            let mut taken = Taken::held(&self.parts, held.take());
            let (longest, wait) = self.longest_wait(key, request, &taken)?;
            let shut = self.shut_door(key, request, &taken)?;
            if wait == RetryAfter::Now && shut.is_none() {
                if self.take_rest(key, request, &mut taken)? {
                    let (grants, permit) = taken.into_all();
                    self.counts.admit();
                    return Ok(Step::Go(grants, permit));
                }
                continue;
            }
            drop(taken);
            let begun = match shut {
                Some(shut) => self.knock(key, request, shut, (longest, wait))?,
                None => self.wait_in(key, request, longest, wait, &fixed)?,
            };
            match begun {
                ControlFlow::Break(step) => {
                    match step {
                        Step::Refused(_, by) => self.counts.refuse(by),
                        Step::Shut(door, _) => self.counts.refuse(self.parts.len() + door),
                        _ => {}
                    }
                    return Ok(step);
                }
                ControlFlow::Continue(has) => held = Some(has),
            }
        }
    }

    /// Takes from every part that has not given yet; false if another thread was faster.
    fn take_rest(
        &self,
        key: &str,
        request: Request,
        taken: &mut Taken<'_, S>,
    ) -> Result<bool, S::Error> {
        let Request { cost, ticket, .. } = request;
        // Doors first: a permit goes back without a trace, and quota perhaps not all of it.
        Ok(taken.enter_each(&self.doors, |door| door.enter(key, cost, ticket, false))?
            && taken.take_each(|part| part.take_at_once(key, request))?)
    }

    /// Waits before a door, unless the quota would come too late in any case.
    fn knock(
        &self,
        key: &str,
        request: Request,
        (door, after): (usize, RetryAfter),
        (longest, quota): (usize, RetryAfter),
    ) -> Result<Begun, S::Error> {
        let Request { cost, timeout, ticket, .. } = request;
        let refuses = self.doors[door].is_bulkhead() && self.doors[door].has_full_line();
        if after != RetryAfter::Never && is_too_late(quota, timeout) && !refuses {
            return Ok(Begun::Break(Step::Refused(longer(quota, after), longest)));
        }
        if after == RetryAfter::Never {
            return Ok(Begun::Break(Step::Shut(door, after)));
        }
        Ok(match self.doors[door].enter(key, cost, ticket, is_ready_to_wait(timeout))? {
            Entered::Now(permit) => Begun::Continue(Held::Permit(door, permit)),
            Entered::Waits(queued) => Begun::Break(Step::Knock(door, queued)),
            Entered::Refused(after) => Begun::Break(Step::Shut(door, after)),
        })
    }

    /// Waits for the quota that comes last.
    fn wait_in(
        &self,
        key: &str,
        request: Request,
        longest: usize,
        wait: RetryAfter,
        fixed: impl Fn(&S) -> bool,
    ) -> Result<Begun, S::Error> {
        if is_too_late(wait, request.timeout) {
            return Ok(Begun::Break(Step::Refused(wait, longest)));
        }
        let part = &self.parts[longest];
        let request = Request { fixed: fixed(part.source()), ..request };
        Ok(match part.reserve(key, request)? {
            Turn::Now(grant) => Begun::Continue(Held::Grant(longest, grant)),
            Turn::Wait(place, wait) => Begun::Break(Step::Wait(longest, place, wait)),
            Turn::Refused(retry_after) => Begun::Break(Step::Refused(retry_after, longest)),
        })
    }

    /// Returns the part in which one would wait longest, those apart that have given.
    fn longest_wait(
        &self,
        key: &str,
        request: Request,
        taken: &Taken<'_, S>,
    ) -> Result<(usize, RetryAfter), S::Error> {
        let mut longest = (0, RetryAfter::Now);
        for (index, part) in self.parts.iter().enumerate() {
            if !taken.has_part(index) {
                let wait = part.quote(key, request)?;
                if wait > longest.1 {
                    longest = (index, wait);
                }
            }
        }
        Ok(longest)
    }

    /// Returns the first door that does not let one in now, or one that never will.
    fn shut_door(
        &self,
        key: &str,
        request: Request,
        taken: &Taken<'_, S>,
    ) -> Result<Option<(usize, RetryAfter)>, S::Error> {
        let mut shut = None;
        for (index, door) in self.doors.iter().enumerate() {
            if !taken.has_door(index) {
                match door.quote(key, request.cost, request.ticket)? {
                    RetryAfter::Now => {}
                    RetryAfter::Never => return Ok(Some((index, RetryAfter::Never))),
                    after => shut = shut.or(Some((index, after))),
                }
            }
        }
        Ok(shut)
    }
}

/// Returns whether one who waits for so long would come too late.
fn is_too_late(wait: RetryAfter, timeout: Option<Duration>) -> bool {
    wait.duration().is_none_or(|span| timeout.is_some_and(|timeout| span > timeout))
}

/// Returns the longer of two waits: what is never is never, whatever else cannot be known.
fn longer(one: RetryAfter, other: RetryAfter) -> RetryAfter {
    if one == RetryAfter::Never { one } else { one.max(other) }
}
