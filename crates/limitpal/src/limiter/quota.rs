//! Quota that was acquired, and can be given back unused.

use std::time::Duration;

use super::composite::CompositePermit;
use crate::store::Grant;

/// What [`acquire_quota`](crate::AnyLimiter::acquire_quota) acquired.
#[derive(Debug)]
pub struct Quota {
    grants: Grants,
    waited: Duration,
}

#[derive(Debug)]
pub(super) enum Grants {
    One(Grant),
    Each(Vec<Grant>, CompositePermit),
}

impl Quota {
    pub(super) fn one(grant: Grant, waited: Duration) -> Self {
        Self { grants: Grants::One(grant), waited }
    }

    /// Makes it of a permit to hold, with which there was quota at once.
    pub(super) fn held(permit: CompositePermit) -> Self {
        Self::each(Vec::new(), permit, Duration::ZERO)
    }

    pub(super) fn each(grants: Vec<Grant>, permit: CompositePermit, waited: Duration) -> Self {
        Self { grants: Grants::Each(grants, permit), waited }
    }

    pub(super) fn into_grants(self) -> Grants {
        self.grants
    }

    /// Spends it; what is left is the permit to hold.
    pub(crate) fn into_permit(self) -> CompositePermit {
        match self.grants {
            Grants::One(_) => CompositePermit::default(),
            Grants::Each(_, permit) => permit,
        }
    }

    /// Returns how long it was waited for; zero if it was there at once.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}
