//! Checks of the numbers a user gives, and the one error they raise.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A hundred years: the longest time an empty bucket may take to fill.
pub(crate) const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 31_557_600);

/// An argument that makes no sense, refused when the object is made.
///
/// Its message has the parameter, the value and the way out:
///
/// ```
/// use limitpal::{Rate, TokenBucket};
///
/// let error = TokenBucket::new(0, Rate::per_second(5.0)?).unwrap_err();
/// assert_eq!("capacity", error.parameter());
/// assert_eq!("capacity is 0; give a whole number from 1 to 4294967295", error.to_string());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig {
    parameter: &'static str,
    value: String,
    advice: Cow<'static, str>,
}

impl InvalidConfig {
    /// Names the parameter, shows its value and says what to give instead.
    pub fn new(
        parameter: &'static str,
        value: impl fmt::Display,
        advice: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { parameter, value: value.to_string(), advice: advice.into() }
    }

    /// Returns it with the name that the user knows the parameter by.
    pub(crate) fn about(self, parameter: &'static str) -> Self {
        Self { parameter, ..self }
    }

    /// Returns the parameter that was wrong.
    pub fn parameter(&self) -> &'static str {
        self.parameter
    }

    /// Returns the value that was given, as text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns what to give instead: `give a number above 0`.
    pub fn advice(&self) -> &str {
        &self.advice
    }
}

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; {}", self.parameter, self.value, self.advice)
    }
}

impl std::error::Error for InvalidConfig {}

/// Requires a whole number of at least one.
pub(crate) fn at_least_one(parameter: &'static str, value: u64) -> Result<(), InvalidConfig> {
    if value == 0 {
        return Err(InvalidConfig::new(parameter, value, "give a whole number of at least 1"));
    }
    Ok(())
}

/// Requires a duration above zero and no longer than a hundred years.
pub(crate) fn positive(parameter: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if value.is_zero() || value > HUNDRED_YEARS {
        let advice = "give a time above 0, 100 years at most";
        return Err(InvalidConfig::new(parameter, format_args!("{value:?}"), advice));
    }
    Ok(())
}
