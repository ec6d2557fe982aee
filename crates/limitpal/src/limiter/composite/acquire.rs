//! Waiting for all parts: as a future, and in a thread.

use std::time::Duration;

use super::super::ask::Ask;
use super::super::concurrency::acquire::{Knock, sit_out};
use super::super::quota::Quota;
use super::super::sure;
use super::super::turn::{self, OUT_OF_TIME, sit};
use super::{Arrival, Composite, Denied, Held, Step, Wish};
use crate::clock::SharedClock;
use crate::refusal::RateLimitExceeded;

impl Composite<SharedClock> {
    pub(in super::super) async fn acquire(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        self.acquire_or_full(ask, timeout).await.map_err(Denied::of_limiters)
    }

    pub(in super::super) fn acquire_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, RateLimitExceeded> {
        self.acquire_or_full_blocking(ask, timeout).map_err(Denied::of_limiters)
    }

    /// As `acquire`, where there may be a bulkhead.
    pub(in super::super) async fn acquire_or_full(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        let watched = sure(self.watch(ask.key()));
        let acquired = self.come(ask, timeout).await;
        self.hear(ask, watched, acquired)
    }

    /// As `acquire_blocking`, where there may be a bulkhead.
    pub(in super::super) fn acquire_or_full_blocking(
        &self,
        ask: Ask<'_>,
        timeout: Option<Duration>,
    ) -> Result<Quota, Denied> {
        let watched = sure(self.watch(ask.key()));
        let acquired = self.come_blocking(ask, timeout);
        self.hear(ask, watched, acquired)
    }

    /// Tells of one who has come, or was refused.
    fn hear(
        &self,
        ask: Ask<'_>,
        watched: Option<bool>,
        acquired: Result<Quota, Denied>,
    ) -> Result<Quota, Denied> {
        let refused = match &acquired {
            Ok(_) => None,
            Err(Denied::Quota(refusal)) => Some(refusal.retry_after()),
            // The limiter has refused nobody.
            Err(Denied::Full(_)) => return acquired,
        };
        sure(self.tell((ask.key(), ask.cost()), watched, refused));
        acquired
    }

    async fn come(&self, ask: Ask<'_>, timeout: Option<Duration>) -> Result<Quota, Denied> {
        let (start, arrival) = (self.source.now(), Arrival::next());
        let mut held = None;
        loop {
            let waited = self.source.now().saturating_duration_since(start);
            let timeout = timeout.map(|timeout| timeout.saturating_sub(waited));
            let wish = Wish { cost: ask.cost(), timeout, arrival };
            held = Some(match self.next(ask, wish, held.take(), |_| false) {
                Step::Go(grants, permit) => return Ok(Quota::each(grants, permit, waited)),
                Step::Refused(retry_after, _) => return Err(Denied::too_late(retry_after)),
                Step::Shut(door, after) => return Err(Denied::shut(&self.doors[door], after)),
                Step::Wait(part, place, _) => {
                    match sit(&*self.parts[part], place, timeout).await {
                        Ok(grant) => Held::Grant(part, grant),
                        Err(OUT_OF_TIME) => return Err(OUT_OF_TIME.into()),
                        // Turned away, it asks all anew, with what is left of its time.
                        Err(_) => continue,
                    }
                }
                Step::Knock(door, queued) => {
                    let knock = Knock::new(&self.doors[door], queued, timeout, &self.source);
                    let shut = |error| self.shut(door, error);
                    Held::Permit(door, knock.await.map_err(shut)?)
                }
            });
        }
    }

    fn come_blocking(&self, ask: Ask<'_>, timeout: Option<Duration>) -> Result<Quota, Denied> {
        let (start, arrival) = (self.source.now(), Arrival::next());
        let mut held = None;
        loop {
            let waited = self.source.now().saturating_duration_since(start);
            let timeout = timeout.map(|timeout| timeout.saturating_sub(waited));
            let wish = Wish { cost: ask.cost(), timeout, arrival };
            held = Some(match self.next(ask, wish, held.take(), |clock| !clock.parks()) {
                Step::Go(grants, permit) => return Ok(Quota::each(grants, permit, waited)),
                Step::Refused(retry_after, _) => return Err(Denied::too_late(retry_after)),
                Step::Shut(door, after) => return Err(Denied::shut(&self.doors[door], after)),
                Step::Wait(part, place, wait) => {
                    match turn::sit_out(&*self.parts[part], place, (wait, timeout)) {
                        Ok(grant) => Held::Grant(part, grant),
                        Err(OUT_OF_TIME) => return Err(OUT_OF_TIME.into()),
                        Err(_) => continue,
                    }
                }
                Step::Knock(door, queued) => {
                    let permit = sit_out(&self.doors[door], queued, timeout, &self.source);
                    Held::Permit(door, permit.map_err(|error| self.shut(door, error))?)
                }
            });
        }
    }

    fn shut(&self, door: usize, refusal: RateLimitExceeded) -> Denied {
        Denied::shut(&self.doors[door], refusal.retry_after())
    }

    fn next(
        &self,
        ask: Ask<'_>,
        wish: Wish,
        held: Option<Held>,
        fixed: impl Fn(&SharedClock) -> bool,
    ) -> Step {
        sure(self.step(ask.key(), wish, held, fixed))
    }
}
