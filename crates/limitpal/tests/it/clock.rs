//! Clocks: the mock moves when told, the others follow real or tokio's time.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails names its line as well as any message"
)]

mod mock;
mod real;
mod run_for;
#[cfg(feature = "tokio")]
mod tokio;

pub(crate) use self::real::Counting;
