//! Who is out to test whether the other side is back, and until when.

use std::collections::VecDeque;

use crate::time::Instant;

/// The permits of a half-open circuit that are out, the oldest first.
#[derive(Clone, Default, Debug)]
pub(super) struct Probes {
    out: VecDeque<Probe>,
    /// Calls let through on a bare `allow()` that lapsed before anything was heard of them.
    unheard: u32,
}

/// How a caller reports on a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Report {
    /// It shows its permit.
    ByPermit,
    /// It says how a call went, not which.
    Bare,
}

#[derive(Clone, Debug)]
struct Probe {
    number: u64,
    report: Report,
    lapses_at: Instant,
}

impl Probes {
    /// Lends a permit until `lapses_at`.
    pub(super) fn lend(&mut self, number: u64, report: Report, lapses_at: Instant) {
        self.out.push_back(Probe { number, report, lapses_at });
    }

    /// Returns whether this permit is out. One that has lapsed is not.
    pub(super) fn has(&self, number: u64) -> bool {
        self.out.iter().any(|probe| probe.number == number)
    }

    /// Takes a permit back, if it is out.
    pub(super) fn remove(&mut self, number: u64) {
        self.out.retain(|probe| probe.number != number);
    }

    /// Takes the report of a caller who shows no permit, and returns whether it counts.
    pub(super) fn take_report_of_anybody(&mut self) -> bool {
        if let Some(place) = self.out.iter().position(|probe| probe.report == Report::Bare) {
            self.out.remove(place);
            return true;
        }
        let is_late = self.unheard > 0;
        self.unheard -= u32::from(is_late);
        !is_late
    }

    /// One more will report who was not let out.
    pub(super) fn expect_one_too_many(&mut self) {
        self.unheard = self.unheard.saturating_add(1);
    }

    /// Returns when the oldest permit lapses, if as many as `limit` are out.
    pub(super) fn first_lapse_if(&self, limit: u32) -> Option<Instant> {
        let is_full = self.out.len() >= limit as usize;
        self.out.front().filter(|_| is_full).map(|probe| probe.lapses_at)
    }

    /// Returns when the youngest permit lapses.
    pub(super) fn last_lapse(&self) -> Option<Instant> {
        self.out.back().map(|probe| probe.lapses_at)
    }

    /// Lets permits lapse that are due at `now`, after bringing the rest within `furthest`.
    pub(super) fn settle(&mut self, now: Instant, furthest: Instant) {
        for probe in &mut self.out {
            probe.lapses_at = probe.lapses_at.min(furthest);
        }
        while let Some(probe) = self.out.pop_front_if(|probe| probe.lapses_at <= now) {
            self.unheard = self.unheard.saturating_add(u32::from(probe.report == Report::Bare));
        }
    }
}
