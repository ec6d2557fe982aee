//! What one asks a limiter for: a key and a cost.

use crate::config::{self, InvalidConfig};

/// How many permits one call takes: a whole number of at least 1.
///
/// ```
/// use limitpal::Cost;
///
/// assert_eq!(3, Cost::new(3)?.get());
/// assert_eq!("cost is 0; give a whole number of at least 1", Cost::new(0).unwrap_err().to_string());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cost(u64);

impl Cost {
    /// The cost of an ordinary call.
    pub const ONE: Self = Self(1);

    /// Checks a cost.
    ///
    /// # Errors
    ///
    /// A cost of 0.
    pub fn new(cost: u64) -> Result<Self, InvalidConfig> {
        config::at_least_one("cost", cost)?;
        Ok(Self(cost))
    }

    /// Returns the number of permits.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A key and a cost; made from `"key"` or from `("key", cost)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask<'k> {
    key: &'k str,
    cost: Cost,
}

impl<'k> Ask<'k> {
    /// Returns the key.
    pub const fn key(self) -> &'k str {
        self.key
    }

    /// Returns the cost.
    pub const fn cost(self) -> u64 {
        self.cost.0
    }
}

impl<'k> From<&'k str> for Ask<'k> {
    fn from(key: &'k str) -> Self {
        Self { key, cost: Cost::ONE }
    }
}

impl<'k> From<&'k String> for Ask<'k> {
    fn from(key: &'k String) -> Self {
        key.as_str().into()
    }
}

impl<'k> From<(&'k str, Cost)> for Ask<'k> {
    fn from((key, cost): (&'k str, Cost)) -> Self {
        Self { key, cost }
    }
}
