//! How a circuit stood that has refused.

use super::OpenReason;

/// How a circuit stood that has refused, in one word. Refusals are compared by when to come back
/// alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stood {
    failures: u32,
    trips: u16,
    reason: OpenReason,
}

impl PartialEq for Stood {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Stood {}

impl Stood {
    pub(super) const fn reason(self) -> OpenReason {
        self.reason
    }

    pub(super) const fn trips(self) -> u32 {
        self.trips as u32
    }

    pub(super) const fn failures(self) -> u32 {
        self.failures
    }

    /// How one stands that has opened so often in a row, after so many failures in a row.
    pub(crate) fn new(reason: OpenReason, trips: u32, failures: u32) -> Self {
        Self { failures, trips: u16::try_from(trips).unwrap_or(u16::MAX), reason }
    }

    /// Returns it as one number.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.failures as u64) << u32::BITS | (self.trips as u64) << u8::BITS | self.reason as u64
    }

    /// Returns what became such a number.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        let reason = match bits as u8 {
            0 => OpenReason::Open,
            1 => OpenReason::Probing,
            2 => OpenReason::Ramp,
            _ => OpenReason::Forced,
        };
        Self { failures: (bits >> u32::BITS) as u32, trips: (bits >> u8::BITS) as u16, reason }
    }

    pub(super) const fn unknown(reason: OpenReason) -> Self {
        Self { failures: 0, trips: 0, reason }
    }

    /// Returns it with another reason.
    pub(crate) const fn because(self, reason: OpenReason) -> Self {
        Self { reason, ..self }
    }
}
