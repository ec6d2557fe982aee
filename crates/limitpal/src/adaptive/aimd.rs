//! Additive increase, multiplicative decrease, as TCP has it.

/// Returns the limit after a round in which nothing was dropped.
pub(crate) fn increased(limit: f64) -> f64 {
    limit + 1.0
}

/// Returns the limit after a round in which something was dropped.
pub(crate) fn decreased(limit: f64) -> f64 {
    limit * 0.9
}
