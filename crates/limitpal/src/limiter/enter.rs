//! Asking for what is likely there at once, and given back by nobody.

use std::time::Duration;

use super::ask::Ask;
use super::keyed::Keyed;
use super::quota::Quota;
use super::turn::{come_blocking, request};
use super::{AnyLimiter, Kind, sure};
use crate::clock::SharedClock;
use crate::refusal::RateLimitExceeded;
use crate::store::{Entered, Place, Turn};

impl AnyLimiter {
    /// Takes, now or later, for whoever gives nothing back of what is there at once; none for a
    /// limiter that is to be awaited.
    #[inline(always)] // as `enter` below
    pub(crate) fn enter(&self, ask: Ask<'_>, timeout: Option<Duration>) -> Option<Turn<()>> {
        Some(enter(self.unheard()?, ask, timeout, false))
    }

    /// Returns the one limiter that it is, if nobody listens.
    #[inline]
    fn unheard(&self) -> Option<&Keyed<SharedClock>> {
        match &self.0 {
            Kind::Keyed(keyed) if !keyed.teller().is_heard() => Some(keyed),
            Kind::Keyed(_) | Kind::Part(_) | Kind::Composite(_) => None,
        }
    }

    /// Waits for the turn of one who was told to by `enter`.
    pub(crate) async fn come(&self, place: Place) -> Result<Quota, RateLimitExceeded> {
        match &self.0 {
            Kind::Keyed(keyed) => keyed.come(place).await,
            Kind::Part(_) | Kind::Composite(_) => unreachable!("`enter` gave no place"),
        }
    }

    /// Blocks the thread until the turn comes; none where quota was there at once, and nothing is
    /// to be given back.
    #[inline(always)] // in the runs that ask nobody else, as `enter`
    pub(crate) fn enter_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Option<Quota>, RateLimitExceeded> {
        let Some(keyed) = self.unheard() else {
            return self.acquire_quota_blocking(ask, timeout).map(Some);
        };
        match enter(keyed, ask, timeout, !keyed.source().parks()) {
            Turn::Now(()) => Ok(None),
            Turn::Refused(retry_after) => Err(RateLimitExceeded::new(retry_after)),
            Turn::Wait(place, wait) => come_blocking(keyed, place, wait).map(Some),
        }
    }
}

/// Asks a limiter that is told from others already.
#[inline(always)] // so that the answer stays in registers
fn enter(
    keyed: &Keyed<SharedClock>,
    ask: Ask<'_>,
    timeout: Option<Duration>,
    fixed: bool,
) -> Turn<()> {
    let mut waits = None;
    asked(keyed, ask, timeout, fixed, &mut waits).turn(waits)
}

/// Asks, and is answered in registers.
#[inline(never)] // it need not be laid out in every run
fn asked(
    keyed: &Keyed<SharedClock>,
    ask: Ask<'_>,
    timeout: Option<Duration>,
    fixed: bool,
    waits: &mut Option<(Place, Duration)>,
) -> Entered {
    let key = sure(keyed.fingerprint(ask.key()));
    let read = || crate::clock::TimeSource::now(keyed.source());
    sure(keyed.store().enter_or(waits, key, request(ask, timeout, fixed), read))
}
