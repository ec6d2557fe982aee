//! The limit that keeps latency near its long average: Gradient2 of Netflix's
//! [concurrency-limits](https://github.com/Netflix/concurrency-limits).

/// How many rounds the long average reaches back.
const LONG: f64 = 600.0;
/// How many rounds it begins with, each of equal weight.
const WARM_UP: u32 = 10;
/// By how much the present latency may exceed the average before the limit falls.
const TOLERANCE: f64 = 1.5;
/// How many calls may queue.
const QUEUE: f64 = 4.0;
/// How much of a new estimate is taken over at once.
const SMOOTHING: f64 = 0.2;

/// The long average of the latency, in seconds.
#[derive(Default, Debug)]
pub(crate) struct Gradient2 {
    long: f64,
    rounds: u32,
}

impl Gradient2 {
    /// Returns the limit after a round of this latency.
    pub(crate) fn next(&mut self, limit: f64, short: f64) -> f64 {
        self.average(short);
        // gradient = clamp(1.5 * long / short, 0.5, 1)
        // limit' = 0.8 * limit + 0.2 * (limit * gradient + 4)
        let gradient = (TOLERANCE * self.long / short).clamp(0.5, 1.0);
        (1.0 - SMOOTHING) * limit + SMOOTHING * (limit * gradient + QUEUE)
    }

    fn average(&mut self, short: f64) {
        self.rounds = self.rounds.saturating_add(1);
        let weight =
            if self.rounds <= WARM_UP { 1.0 / f64::from(self.rounds) } else { 2.0 / (LONG + 1.0) };
        self.long += (short - self.long) * weight;
        // After an overload the average comes down sooner than it would by itself.
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
    }
}
