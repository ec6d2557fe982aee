//! What one who waits asks of a store, and what it answers.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::algorithm::Level;
use crate::decision::Decision;
use crate::retry_after::RetryAfter;
use crate::shards::Fingerprint;
use crate::time::Instant;

/// What one asks for who is ready to wait.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// How many permits.
    pub cost: u64,
    /// The longest wait.
    pub timeout: Option<Duration>,
    /// Whether the sleeper cannot be moved once it sleeps.
    pub fixed: bool,
    /// When it came, for one who waits for several lines in turn.
    pub ticket: Option<NonZeroU64>,
}

impl Request {
    /// Returns whether it is one of several, of which somebody else tells.
    pub(crate) fn is_of_several(&self) -> bool {
        self.ticket.is_some()
    }

    /// Asks for permits that one does not wait for.
    pub fn at_once(cost: u64) -> Self {
        Self { cost, timeout: Some(Duration::ZERO), fixed: true, ticket: None }
    }

    /// Returns until when one would wait who asks now.
    pub(super) fn until(&self, now: Instant) -> Instant {
        self.timeout.map_or(Instant::MAX, |timeout| now.saturating_add(timeout))
    }
}

/// What came of a step.
pub(super) trait Outcome: Sized {
    /// Returns whether something was taken.
    fn is_taken(&self) -> bool;

    /// Returns it without what it says of a time to come.
    fn in_doubt(self) -> Self {
        self
    }
}

impl<T> Outcome for Option<T> {
    fn is_taken(&self) -> bool {
        self.is_some()
    }
}

impl Outcome for Decision {
    fn is_taken(&self) -> bool {
        self.allowed
    }

    fn in_doubt(self) -> Self {
        let retry_after = self.retry_after.in_doubt();
        Self { retry_after, ..self }
    }
}

/// What one sees who only looks.
pub(super) struct Looked<T>(pub(super) T);

impl Outcome for Looked<Decision> {
    fn is_taken(&self) -> bool {
        false
    }

    fn in_doubt(self) -> Self {
        Self(self.0.in_doubt())
    }
}

/// Who is told to wait comes in earnest then, and is told better.
impl Outcome for Looked<RetryAfter> {
    fn is_taken(&self) -> bool {
        false
    }
}

impl<T> Outcome for Turn<T> {
    fn is_taken(&self) -> bool {
        !matches!(self, Self::Refused(_))
    }

    fn in_doubt(self) -> Self {
        match self {
            Self::Refused(retry_after) => Self::Refused(retry_after.in_doubt()),
            turn => turn,
        }
    }
}

/// A take that can be given back.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    pub(super) key: Fingerprint,
    pub(super) cost: u64,
    pub(super) after: Level,
    /// The level before, where the take was immediate.
    pub(super) before: Option<Level>,
    /// Whether it can still be given back is a matter of when it was taken.
    pub(super) epoch: u64,
}

/// A place in a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub(super) key: Fingerprint,
    pub(super) id: NonZeroU64,
}

/// It is not the time yet of one who waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    /// When it will be; it changes only when somebody moves up.
    pub due: Instant,
    /// How long that still is.
    pub wait: Duration,
    /// Whether the waker that is kept for it would wake the task that asks.
    pub has_waker: bool,
    /// It will not be at all: since it came to wait, the limiter has changed or somebody has left
    /// ahead of it, so that its turn would come too late or never. It has left the line.
    pub refused: Option<RetryAfter>,
}

impl Pending {
    /// Answers one who sleeps until it is due.
    pub(super) fn sleeps(due: Instant, now: Instant) -> Self {
        let wait = due.saturating_duration_since(now);
        Self { due, wait, has_waker: false, refused: None }
    }

    /// Answers one who sleeps until it is due, and would not wait for longer than until then.
    #[inline]
    pub(super) fn within(until: Instant, due: Instant, now: Instant) -> Self {
        if due > until { Self::refused(due, now) } else { Self::sleeps(due, now) }
    }

    /// Answers one who was turned away: its turn would come at `due`, or never.
    pub(super) fn refused(due: Instant, now: Instant) -> Self {
        let wait = due.saturating_duration_since(now);
        let refused = if due == Instant::MAX { RetryAfter::Never } else { RetryAfter::wait(wait) };
        Self { due, wait, has_waker: false, refused: Some(refused) }
    }
}

/// The answer to one who is ready to wait.
#[derive(Debug)]
pub enum Turn<T = Grant> {
    /// Go.
    Now(T),
    /// Sleep this long, then claim the place; leave it if you must.
    Wait(Place, Duration),
    /// It would take too long. Nothing was taken.
    Refused(RetryAfter),
}

/// A turn as it fits in registers: what else there is to say of one who is to wait stands elsewhere.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entered {
    /// Go.
    Now,
    /// It would take too long. Nothing was taken.
    Refused(RetryAfter),
    /// Sleep, then claim the place.
    Waits,
}

impl Entered {
    /// Returns it as a turn.
    #[inline(always)] // so that it stays in registers where nobody waits
    pub(crate) fn turn(self, waits: Option<(Place, Duration)>) -> Turn<()> {
        match self {
            Self::Now => Turn::Now(()),
            Self::Refused(retry_after) => Turn::Refused(retry_after),
            Self::Waits => {
                let (place, wait) = waits.expect("who waits is told where");
                Turn::Wait(place, wait)
            }
        }
    }
}

impl<T> Turn<T> {
    /// Returns what fits in registers, and writes down what does not.
    #[inline]
    pub(super) fn entered(self, waits: &mut Option<(Place, Duration)>) -> Entered {
        match self {
            Self::Now(_) => Entered::Now,
            Self::Refused(retry_after) => Entered::Refused(retry_after),
            Self::Wait(place, wait) => {
                *waits = Some((place, wait));
                Entered::Waits
            }
        }
    }

    /// Returns the turn with something else for one who goes.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Turn<U> {
        match self {
            Self::Now(grant) => Turn::Now(make(grant)),
            Self::Wait(place, wait) => Turn::Wait(place, wait),
            Self::Refused(retry_after) => Turn::Refused(retry_after),
        }
    }
}
