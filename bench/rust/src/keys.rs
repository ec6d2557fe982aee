//! The keys that are asked for, and in what order.

/// Makes the same numbers in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns 64 bits by xorshift, <https://www.jstatsoft.org/article/view/v008i14>.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Returns a number from 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How often each key is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Draw {
    /// All alike.
    Uniform,
    /// The n-th most frequent `n^-0.99` times as often as the first.
    Zipf,
}

/// Returns a key of 16 bytes.
pub(crate) fn key(number: usize) -> String {
    format!("user:{number:011}")
}

/// Returns keys in the order of their numbers.
pub(crate) fn in_order(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(key).collect()
}

/// Returns so many draws from `keys` keys. They lie in memory in the order in which they will be
/// read, so that the caller's own key is never what one waits for.
pub(crate) fn drawn(keys: usize, draws: usize, draw: Draw) -> Vec<String> {
    let mut numbers = Numbers::new();
    match draw {
        Draw::Uniform => (0..draws).map(|_| key(numbers.below(keys))).collect(),
        Draw::Zipf => {
            let zipf = Zipf::new(keys);
            (0..draws).map(|_| key(scattered(zipf.rank(numbers.unit()), keys))).collect()
        }
    }
}

/// Spreads the frequent ranks over all keys: else the first keys made would be the frequent ones.
fn scattered(rank: usize, keys: usize) -> usize {
    // A prime above every number of keys here, so that no two ranks meet.
    const PRIME: u64 = 2_654_435_761;
    ((rank as u64 * PRIME) % keys as u64) as usize
}

/// Draws ranks from a Zipf distribution, by the inverse that Gray and others give in "Quickly
/// generating billion-record synthetic databases", <https://doi.org/10.1145/191839.191886>.
struct Zipf {
    keys: f64,
    alpha: f64,
    eta: f64,
    zeta: f64,
}

const THETA: f64 = 0.99;

impl Zipf {
    fn new(keys: usize) -> Self {
        let zeta = (1..=keys).map(|rank| (rank as f64).powf(-THETA)).sum::<f64>();
        let zeta_of_two = 1.0 + 0.5f64.powf(THETA);
        let keys = keys as f64;
        let eta = (1.0 - (2.0 / keys).powf(1.0 - THETA)) / (1.0 - zeta_of_two / zeta);
        Self { keys, alpha: 1.0 / (1.0 - THETA), eta, zeta }
    }

    /// Returns the rank, from 0, that belongs to a number from 0 to below 1.
    fn rank(&self, unit: f64) -> usize {
        let scaled = unit * self.zeta;
        if scaled < 1.0 {
            0
        } else if scaled < 1.0 + 0.5f64.powf(THETA) {
            1
        } else {
            (self.keys * (self.eta * unit - self.eta + 1.0).powf(self.alpha)) as usize
        }
    }
}
