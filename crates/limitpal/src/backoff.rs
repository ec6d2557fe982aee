//! How long to wait before another attempt: growing, jittered, not below a floor, capped last.

mod delays;
mod jitter;

use std::time::Duration;

pub use self::delays::{Delays, Shape};
pub use self::jitter::Jitter;
use self::jitter::{SMOOTHED_SCALE, decorrelated, smoothed};
use crate::config::InvalidConfig;

/// So many draws reach the state in which a decorrelated delay no longer depends on its start.
const LONG_ENOUGH: u32 = 64;

/// Delays with jitter between a floor and a cap, in seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Backoff {
    /// How delays stray.
    pub(crate) jitter: Jitter,
    /// The shortest delay.
    pub(crate) floor: f64,
    /// The longest delay.
    pub(crate) cap: f64,
}

/// What a run remembers of its delays, for the jitters that go on from the one before.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(crate) struct Memory(f64);

impl Backoff {
    /// Returns the seconds to wait after attempt `n`, counted from 1:
    /// `min(cap, max(floor, jitter(min(cap, delays(n)))))`.
    ///
    /// `unit` is asked for a number from 0 to 1 when there is jitter.
    pub(crate) fn delay(
        self,
        delays: &Delays,
        n: u32,
        memory: &mut Memory,
        unit: impl FnMut() -> f64,
    ) -> f64 {
        let delay = if self.jitter.grows() {
            self.grown(delays.after(1, self.cap), n, memory, unit)
        } else {
            self.spread(delays.after(n, self.cap), unit)
        };
        self.bounded(delay)
    }

    /// As `delay`, without a run: what comes before attempt `n` is drawn as well.
    pub(crate) fn delay_alone(self, delays: &Delays, n: u32, mut unit: impl FnMut() -> f64) -> f64 {
        let mut memory = Memory::default();
        let before = match self.jitter {
            Jitter::Decorrelated => 1..n.min(LONG_ENOUGH),
            Jitter::SmoothedDecorrelated => n.saturating_sub(1).max(1)..n,
            Jitter::Share(_) | Jitter::Full | Jitter::Equal => n..n,
        };
        for earlier in before {
            self.delay(delays, earlier, &mut memory, &mut unit);
        }
        self.delay(delays, n, &mut memory, unit)
    }

    /// Returns a delay that somebody else says, spread and bounded as the others are.
    pub(crate) fn given(self, delay: f64, unit: impl FnMut() -> f64) -> f64 {
        self.bounded(self.spread(self.cap.min(delay), unit))
    }

    fn bounded(self, delay: f64) -> f64 {
        self.cap.min(self.floor.max(delay))
    }

    /// Spreads a delay by the jitters that do not look back.
    fn spread(self, delay: f64, mut unit: impl FnMut() -> f64) -> f64 {
        match self.jitter {
            Jitter::Share(share) if share == 0.0 || delay == 0.0 => delay,
            Jitter::Share(share) => delay * (1.0 - share + 2.0 * share * unit()),
            Jitter::Full => delay * unit(),
            Jitter::Equal => delay / 2.0 + delay / 2.0 * unit(),
            Jitter::Decorrelated | Jitter::SmoothedDecorrelated => delay,
        }
    }

    /// Returns a delay by the jitters that go on from the one before.
    fn grown(self, base: f64, n: u32, memory: &mut Memory, mut unit: impl FnMut() -> f64) -> f64 {
        if base == 0.0 {
            return 0.0;
        }
        if self.jitter == Jitter::Decorrelated {
            memory.0 = decorrelated(base, memory.0, self.cap, unit());
            return memory.0;
        }
        let now = smoothed(n, unit());
        // From 2^1024 on a float holds no more, and the difference of two of those is no number.
        let delay =
            if now.is_finite() { (now - memory.0) / SMOOTHED_SCALE * base } else { self.cap };
        memory.0 = now;
        delay
    }

    /// Refuses a jitter outside its range, or one that makes delays of its own beside `delays`.
    pub(crate) fn check(self, delays: &Delays) -> Result<(), InvalidConfig> {
        if let Jitter::Share(share) = self.jitter
            && !(0.0..=1.0).contains(&share)
        {
            const ADVICE: &str = "give a number from 0 to 1, \"full\", \"equal\", \
                                  \"decorrelated\" or \"smoothed_decorrelated\"";
            return Err(InvalidConfig::new("jitter", share, ADVICE));
        }
        let doubles = matches!(delays.0, Shape::Exponential { factor, .. } if factor == 2.0);
        if self.jitter.grows() && !doubles {
            let advice = "it makes delays grow by itself: give exponential delays with a factor \
                          of 2, or another jitter";
            return Err(InvalidConfig::new("jitter", self.jitter, advice));
        }
        Ok(())
    }
}

/// Returns seconds that are not negative as a duration, the longest one if they are too many.
pub(crate) fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns a duration in seconds, never rounded up: a float cannot name every long one.
pub(crate) fn seconds(span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    if duration(seconds) > span { seconds.next_down() } else { seconds }
}
