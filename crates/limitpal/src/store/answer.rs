//! What a store answers to one who takes or waits.

use std::time::Duration;

use super::fingerprint::Fingerprint;
use crate::algorithm::Level;
use crate::retry_after::RetryAfter;
use crate::time::Instant;

/// A take that can be given back.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub(super) key: Fingerprint,
    pub(super) cost: u64,
    pub(super) after: Level,
    /// The level before, where the take was immediate.
    pub(super) before: Option<Level>,
    pub(super) born: u32,
}

/// A place in a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub(super) key: Fingerprint,
    pub(super) id: u64,
}

/// It is not the time yet of one who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// When it will be; it changes only when somebody moves up.
    pub due: Instant,
    /// How long that still is.
    pub wait: Duration,
}

/// The answer to one who is ready to wait.
#[derive(Debug)]
pub enum Turn {
    /// Go.
    Now(Grant),
    /// Sleep this long, then claim the place; leave it if you must.
    Wait(Place, Duration),
    /// It would take too long. Nothing was taken.
    Refused(RetryAfter),
}
