//! What several limiters are made of, one kind beside the other.

use std::sync::Arc;

use super::super::concurrency::acquire::RustDoor;
use super::Composite;
use crate::clock::SharedClock;
use crate::config::InvalidConfig;
use crate::limiter::{AnyLimiter, Kind, Part};

/// The parts of several limiters, and the clocks of those that keep none.
#[derive(Default)]
pub(in super::super) struct Parts {
    parts: Vec<Arc<dyn Part<SharedClock>>>,
    doors: Vec<Arc<RustDoor>>,
    clocks: Vec<SharedClock>,
}

impl Parts {
    /// Takes limiters apart.
    pub(in super::super) fn of(limiters: impl IntoIterator<Item = AnyLimiter>) -> Self {
        let mut all = Self::default();
        for limiter in limiters {
            match limiter.0 {
                Kind::Keyed(keyed) => all.parts.push(keyed),
                Kind::Part(part) => all.parts.push(part),
                Kind::Composite(composite) => {
                    all.parts.extend(composite.parts.iter().cloned());
                    all.doors.extend(composite.doors.iter().cloned());
                    if !composite.doors.is_empty() {
                        all.clocks.push(composite.source.clone());
                    }
                }
            }
        }
        all
    }

    /// Joins them, on the clock they share, else on the monotonic one.
    pub(in super::super) fn join(self) -> Result<AnyLimiter, InvalidConfig> {
        let Self { parts, doors, clocks } = self;
        let mut clocks = parts.iter().map(|part| part.source()).chain(&clocks);
        let shared = clocks.next().cloned().unwrap_or_default();
        let is_shared = clocks.all(|clock| clock.same(&shared));
        let clock = if is_shared { shared } else { SharedClock::default() };
        let composite = Arc::new(Composite::new(parts, doors, clock)?);
        Ok(AnyLimiter(Kind::Composite(composite)))
    }
}
