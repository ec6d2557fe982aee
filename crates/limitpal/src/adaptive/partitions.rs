//! Classes of calls that share one limit: who is guaranteed how much of it.

use crate::config::InvalidConfig;

/// What share of a limit each class of calls is guaranteed.
#[derive(Clone, PartialEq, Debug)]
pub struct Partitions {
    names: Vec<String>,
    shares: Vec<f64>,
}

/// By how much shares may miss their sum: what adding floats leaves.
const ROUNDING: f64 = 1e-9;

impl Partitions {
    /// Checks and keeps them.
    ///
    /// # Errors
    ///
    /// No class, the same twice, a share that is not above 0, or shares whose sum is not 1.
    pub fn new(shares: impl IntoIterator<Item = (String, f64)>) -> Result<Self, InvalidConfig> {
        let (names, shares): (Vec<_>, Vec<_>) = shares.into_iter().unzip();
        let refuse = |value: &str, advice: &str| {
            Err(InvalidConfig::new("partitions", value, advice.to_owned()))
        };
        if names.is_empty() {
            return refuse("empty", "give each class its share, such as live 0.8 and batch 0.2");
        }
        for (rank, (name, share)) in names.iter().zip(&shares).enumerate() {
            if names[..rank].contains(name) {
                return refuse(&format!("twice \"{name}\""), "give each class once");
            }
            if !(*share > 0.0 && *share <= 1.0) {
                let value = format!("{share} for \"{name}\"");
                return refuse(&value, "give a share above 0, 1 at most");
            }
        }
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > ROUNDING {
            let value = format!("{sum} in all");
            return refuse(&value, "give shares whose sum is 1");
        }
        Ok(Self { names, shares })
    }

    /// Returns how many classes there are.
    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }

    /// Returns the classes, in the order in which they were given.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns a class's rank.
    ///
    /// # Errors
    ///
    /// One that there is not: the error lists those there are.
    pub fn find(&self, name: &str) -> Result<usize, InvalidConfig> {
        self.names.iter().position(|one| one == name).ok_or_else(|| {
            let known: Vec<_> = self.names.iter().map(|name| format!("\"{name}\"")).collect();
            let advice = format!("give one of {}", known.join(", "));
            InvalidConfig::new("partition", format_args!("\"{name}\""), advice)
        })
    }

    /// Returns how many of so many places a class is guaranteed: its share, rounded up, so that
    /// each has one at least.
    pub(crate) fn places(&self, rank: usize, limit: u32) -> u32 {
        ((self.shares[rank] * f64::from(limit) - ROUNDING).ceil() as u32).max(1)
    }
}
