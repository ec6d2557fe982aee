//! Whether more calls in flight brought more throughput, or only more latency.
//!
//! Latency alone cannot tell: compared with an average that follows it, a slowly rising latency
//! never looks high, and the limit grows without end. The three signs are those of
//! [failsafe-go](https://failsafe-go.dev)'s adaptive limiter. Here they look at ten rounds and not
//! at fifty, and a throughput that is level counts only where it has ceased to follow the calls
//! in flight: else the limit falls far below what a server bears, again and again.

/// How many rounds are compared.
const ROUNDS: usize = 10;

/// The calls in flight and the latency of the last rounds, in a ring.
#[derive(Default, Debug)]
pub(crate) struct Guard {
    in_flight: [f64; ROUNDS],
    latency: [f64; ROUNDS],
    rounds: usize,
}

impl Guard {
    /// Hears of a round, and returns whether more calls in flight only queue.
    pub(crate) fn sees_overload(&mut self, in_flight: f64, latency: f64) -> bool {
        self.in_flight[self.rounds % ROUNDS] = in_flight;
        self.latency[self.rounds % ROUNDS] = latency;
        self.rounds += 1;
        if self.rounds < ROUNDS {
            return false;
        }
        let throughput: [f64; ROUNDS] =
            std::array::from_fn(|round| self.in_flight[round] / self.latency[round]);
        let follows = correlation(&self.in_flight, &throughput);
        let queues = correlation(&self.in_flight, &self.latency) > 0.5;
        follows < 0.0
            || follows < 0.3 && queues
            || follows < 0.7 && queues && variation(&throughput) < 0.2
    }
}

fn mean(values: &[f64; ROUNDS]) -> f64 {
    values.iter().sum::<f64>() / ROUNDS as f64
}

/// Returns the mean product of how far each pair strays from its means.
fn covariance(one: &[f64; ROUNDS], other: &[f64; ROUNDS]) -> f64 {
    let (middle, other_middle) = (mean(one), mean(other));
    let pairs = one.iter().zip(other);
    pairs.map(|(x, y)| (x - middle) * (y - other_middle)).sum::<f64>() / ROUNDS as f64
}

/// Returns how closely two follow each other, from -1 to 1; 0 where one of them stands still.
fn correlation(one: &[f64; ROUNDS], other: &[f64; ROUNDS]) -> f64 {
    /// What rounding leaves of the variation of equal numbers.
    const STILL: f64 = 1e-6;
    if variation(one) < STILL || variation(other) < STILL {
        return 0.0;
    }
    covariance(one, other) / (covariance(one, one) * covariance(other, other)).sqrt()
}

/// Returns the standard deviation as a share of the mean.
fn variation(values: &[f64; ROUNDS]) -> f64 {
    covariance(values, values).sqrt() / mean(values)
}
