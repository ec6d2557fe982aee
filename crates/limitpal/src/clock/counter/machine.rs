//! The counter of this machine, for everybody.

use std::sync::OnceLock;

use super::{Counter, Source};
use crate::clock::monotonic::system_now;
use crate::time::Instant;

static COUNTER: Counter = Counter::new();
static TRUSTED: OnceLock<bool> = OnceLock::new();

/// Returns the system's time, if it may be read through the counter.
#[inline]
pub(in crate::clock) fn now() -> Option<Instant> {
    TRUSTED.get_or_init(is_trusted).then(|| Instant::from_nanos(COUNTER.now(&Machine)))
}

/// Returns whether the kernel tells time by the counter itself: it has checked that the counter
/// runs evenly and alike on all processors, and watches it.
#[cold]
fn is_trusted() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    std::fs::read_to_string(SOURCE).is_ok_and(|name| name.trim() == "tsc")
}

/// The clocks of this machine.
struct Machine;

impl Source for Machine {
    #[inline]
    #[expect(
        unsafe_code,
        reason = "reading it costs half of what asking the system does: see the benchmarks"
    )]
    fn ticks(&self) -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and it does nothing but read.
        unsafe { std::arch::x86_64::_rdtsc() }
    }

    fn nanos(&self) -> i64 {
        system_now().as_nanos()
    }
}
