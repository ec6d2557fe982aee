//! How a bucket begins, and how far it may be overdrawn.

use super::{Bucket, Level};
use crate::config::{HUNDRED_YEARS, InvalidConfig};
use crate::time::Instant;

impl Bucket {
    /// Lets a call that costs several permits go when one is there, and owe up to so many.
    pub fn with_debt(self, debt: u32) -> Result<Self, InvalidConfig> {
        let Some(most) = self.capacity.checked_add(debt) else {
            let advice = "lower it, so that capacity + debt is 4294967295 at most";
            return Err(InvalidConfig::new("debt", debt, advice));
        };
        if self.span(most.into()).ceil() > Instant::ZERO + HUNDRED_YEARS {
            let name = self.rate_name();
            let advice =
                format!("lower it, so that (capacity + debt) / {name} is 100 years at most");
            return Err(InvalidConfig::new("debt", debt, advice));
        }
        Ok(Self { debt, most: most.into(), ..self })
    }

    /// Has so many permits in each bucket now, and not all of them. A key that is first seen later
    /// has what has come in since: whoever is forgotten loses nothing, and gains nothing.
    pub fn with_initial(self, initial: u32, now: Instant) -> Result<Self, InvalidConfig> {
        let Some(missing) = self.capacity.checked_sub(initial) else {
            let advice = format!("give a whole number from 0 to the capacity, {}", self.capacity);
            return Err(InvalidConfig::new("initial", initial, advice));
        };
        let full_again = Level::at(now).plus(self.span(missing.into()), self.interval.parts);
        Ok(Self { initial, start: if missing == 0 { Level::FRESH } else { full_again }, ..self })
    }

    /// Returns by how many permits a call may overdraw.
    pub fn debt(&self) -> u32 {
        self.debt
    }

    /// Returns how many permits a bucket had when the limiter was made.
    pub fn initial(&self) -> u32 {
        self.initial
    }

    /// Returns the level of a key that was never used.
    #[inline]
    pub(crate) fn start(&self) -> Level {
        self.start
    }
}
