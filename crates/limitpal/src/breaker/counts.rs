//! What a circuit has counted since it was made, whatever it counts towards.

/// The counts of a circuit.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) trips: u64,
    pub(crate) refused: u64,
    pub(crate) shadowed: u64,
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) ignored: u64,
    pub(crate) late: u64,
    pub(crate) probes: u64,
}
