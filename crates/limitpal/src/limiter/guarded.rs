//! A bulkhead, and the limiter behind it: entered together, and nothing held while one waits.

use std::sync::Arc;
use std::time::Duration;

use super::bulkhead::Bulkhead;
use super::composite::{Behind, Composite, Denied};
use super::concurrency::ConcurrencyPermit;
use super::part::Part;
use super::quota::Quota;
use super::{AnyLimiter, Ask, Kind, request, sure};
use crate::clock::SharedClock;
use crate::gates::{Entry, Gates};
use crate::refusal::BulkheadFull;
use crate::shards::Fingerprint;
use crate::store::Turn;

/// A bulkhead, and the limiter behind it, if there is one.
#[derive(Clone)]
pub(crate) struct Guarded {
    bulkhead: Bulkhead,
    limiter: Option<AnyLimiter>,
    /// Both as one, for who has to wait.
    joined: AnyLimiter,
}

impl Guarded {
    /// Puts a bulkhead before a limiter; timeouts go by this clock.
    pub(crate) fn new(bulkhead: Bulkhead, limiter: Option<AnyLimiter>, clock: SharedClock) -> Self {
        let behind = limiter.clone().map(|limiter| match limiter.0 {
            Kind::Keyed(keyed) => Behind::Part(keyed),
            Kind::Part(part) => Behind::Part(part),
            Kind::Composite(composite) => Behind::Composite(composite),
        });
        let joined = Composite::behind(Arc::clone(bulkhead.pool().door()), behind, clock);
        // A bulkhead's door is in nothing else that is joined.
        let joined = joined.expect("a bulkhead and a limiter are not twice the same");
        Self { bulkhead, limiter, joined: AnyLimiter(Kind::Composite(Arc::new(joined))) }
    }

    pub(crate) fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// Returns both as one, to which goes back what was acquired here.
    pub(crate) fn joined(&self) -> &AnyLimiter {
        &self.joined
    }

    /// Takes from both if possible now, without anything of the heap; none: `come`.
    #[inline]
    pub(crate) fn enter(&self, ask: Ask<'_>) -> Result<Option<Inside<'_>>, Denied> {
        let Some(inside) = Inside::enter(self.bulkhead.pool().door().gates()) else {
            // Where nobody waits nothing else is to be asked, and a refusal is to be cheap.
            return match self.bulkhead.max_waiting() {
                Some(0) => Err(Denied::Full(BulkheadFull::new(self.bulkhead.limit()))),
                _ => Ok(None),
            };
        };
        if let Some(limiter) = &self.limiter
            && !limiter.takes_unheard(ask)
        {
            return Ok(None);
        }
        Ok(Some(inside))
    }

    /// Takes from both, or waits for them.
    pub(crate) async fn acquire(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        match self.enter(ask)? {
            Some(inside) => Ok(inside.into_quota()),
            None => self.come(ask, timeout).await,
        }
    }

    /// Waits for both as one.
    pub(crate) async fn come(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        Box::pin(self.composite().acquire_or_full(ask, timeout)).await
    }

    /// Blocks the thread; otherwise as `acquire`.
    pub(crate) fn acquire_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        match self.enter(ask)? {
            Some(inside) => Ok(inside.into_quota()),
            None => self.come_blocking(ask, timeout),
        }
    }

    /// Blocks the thread; otherwise as `come`.
    pub(crate) fn come_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        self.composite().acquire_or_full_blocking(ask, timeout)
    }

    fn composite(&self) -> &Composite<SharedClock> {
        match &self.joined.0 {
            Kind::Composite(composite) => composite,
            Kind::Keyed(_) | Kind::Part(_) => unreachable!("what is joined is a composite"),
        }
    }
}

/// One who is inside a bulkhead, and out of it again when this is dropped: a permit that is not to
/// outlive what it was lent by.
pub(crate) struct Inside<'g>(&'g Arc<Gates>);

impl<'g> Inside<'g> {
    #[inline]
    fn enter(gates: &'g Arc<Gates>) -> Option<Self> {
        match gates.enter(Fingerprint::EVERYBODY, 1, false) {
            Entry::Inside(_) => Some(Self(gates)),
            Entry::Waits(_) | Entry::Refused(_) => None,
        }
    }

    /// Returns a permit that keeps what it needs.
    pub(crate) fn keep(self) -> ConcurrencyPermit {
        let permit = ConcurrencyPermit::new(Arc::clone(self.0), Fingerprint::EVERYBODY, 1);
        std::mem::forget(self);
        permit
    }

    fn into_quota(self) -> Quota {
        Quota::held(self.keep().into())
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.let_out(Fingerprint::EVERYBODY, 1);
    }
}

impl AnyLimiter {
    /// Takes one permit if it is there and nobody listens; false: nothing was taken.
    ///
    /// By the vtable: a bucket's steps are laid out in one caller less, and stay small in the others.
    fn takes_unheard(&self, ask: Ask<'_>) -> bool {
        let part: &dyn Part<SharedClock> = match &self.0 {
            Kind::Keyed(keyed) => &**keyed,
            Kind::Part(part) => &**part,
            Kind::Composite(_) => return false,
        };
        let never = Some(Duration::ZERO);
        !part.teller().is_heard()
            && matches!(sure(part.enter(ask.key(), request(ask, never, true))), Turn::Now(()))
    }
}
