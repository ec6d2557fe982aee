//! How an attempt went, as far as a circuit breaker counts it.

/// What a circuit breaker hears of a call. One that was cancelled, ignored or refused by a limiter
/// of ours is neither: its permit is given back instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The call did what it should.
    Success,
    /// The call failed.
    Failure,
}
