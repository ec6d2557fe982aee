//! Quota that was acquired, and can be given back unused.

use std::time::Duration;

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
    Each(Vec<Grant>),
}

impl Quota {
    pub(super) fn one(grant: Grant, waited: Duration) -> Self {
        Self { grants: Grants::One(grant), waited }
    }

    pub(super) fn each(grants: Vec<Grant>, waited: Duration) -> Self {
        Self { grants: Grants::Each(grants), waited }
    }

    pub(super) fn into_grants(self) -> Grants {
        self.grants
    }

    /// Returns how long it was waited for; zero if it was there at once.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}
