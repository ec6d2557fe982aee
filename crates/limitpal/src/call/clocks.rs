//! The clocks that a run reads, each only when it is needed.

use crate::time::Instant;

/// How a [`Call`](crate::Call) reads the time: each clock only when it needs it.
///
/// A function that reads one clock stands for all of them.
pub trait Clocks {
    /// What a reading fails with.
    type Error;

    /// Reads the clock of the circuit breaker.
    ///
    /// # Errors
    ///
    /// The clock's own.
    fn breaker(&mut self) -> Result<Instant, Self::Error>;

    /// Reads the clock that sleeps between attempts.
    ///
    /// # Errors
    ///
    /// The clock's own.
    fn run(&mut self) -> Result<Instant, Self::Error>;

    /// Reads the clock of the retry budget.
    ///
    /// # Errors
    ///
    /// The clock's own.
    fn budget(&mut self) -> Result<Instant, Self::Error>;
}

impl<E, F: FnMut() -> Result<Instant, E>> Clocks for F {
    type Error = E;

    #[inline]
    fn breaker(&mut self) -> Result<Instant, E> {
        self()
    }

    #[inline]
    fn run(&mut self) -> Result<Instant, E> {
        self()
    }

    #[inline]
    fn budget(&mut self) -> Result<Instant, E> {
        self()
    }
}
