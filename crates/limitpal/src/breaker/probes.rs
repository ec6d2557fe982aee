//! Who is out to test whether the other side is back, and until when.

use std::collections::VecDeque;

use crate::time::Instant;

/// The permits of a half-open circuit that are out, the oldest first.
#[derive(Default, Debug)]
pub(super) struct Probes {
    out: VecDeque<Probe>,
    /// Calls let through on a bare `allow()` that lapsed before anything was heard of them.
    unheard: u32,
    last_id: u64,
}

#[derive(Debug)]
struct Probe {
    id: u64,
    /// Whether its caller will report without showing a permit.
    bare: bool,
    lapses_at: Instant,
}

impl Probes {
    /// Lends a permit until `lapses_at` and returns which it is.
    pub(super) fn lend(&mut self, lapses_at: Instant) -> u64 {
        self.push(false, lapses_at)
    }

    /// Lends a permit to a caller who reports without showing it.
    pub(super) fn lend_to_anybody(&mut self, lapses_at: Instant) -> u64 {
        self.push(true, lapses_at)
    }

    /// Returns whether this permit is out. One that has lapsed is not.
    pub(super) fn has(&self, id: u64) -> bool {
        self.out.iter().any(|probe| probe.id == id)
    }

    /// Takes a permit back.
    pub(super) fn remove(&mut self, id: u64) {
        self.out.retain(|probe| probe.id != id);
    }

    /// Takes the report of a caller who shows no permit, and returns whether it counts.
    pub(super) fn take_report_of_anybody(&mut self) -> bool {
        if let Some(place) = self.out.iter().position(|probe| probe.bare) {
            self.out.remove(place);
            return true;
        }
        let is_late = self.unheard > 0;
        self.unheard -= u32::from(is_late);
        !is_late
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
            self.unheard = self.unheard.saturating_add(u32::from(probe.bare));
        }
    }

    fn push(&mut self, bare: bool, lapses_at: Instant) -> u64 {
        self.last_id += 1;
        self.out.push_back(Probe { id: self.last_id, bare, lapses_at });
        self.last_id
    }
}
