//! What was taken from some of the parts, and goes back unless all of them give.

use std::sync::Arc;

use super::super::concurrency::{ConcurrencyPermit, Door, Entered};
use super::super::part::Part;
use super::{CompositePermit, Held};
use crate::clock::TimeSource;
use crate::store::Grant;

/// Grants and permits by part, given back when dropped.
pub(super) struct Taken<'c, S: TimeSource> {
    parts: &'c [Arc<dyn Part<S>>],
    grants: Vec<(usize, Grant)>,
    permits: Vec<(usize, ConcurrencyPermit)>,
}

impl<'c, S: TimeSource> Taken<'c, S> {
    pub(super) fn nothing(parts: &'c [Arc<dyn Part<S>>]) -> Self {
        Self { parts, grants: Vec::new(), permits: Vec::new() }
    }

    /// Makes it of what one part has given already, to whoever waited there.
    pub(super) fn held(parts: &'c [Arc<dyn Part<S>>], held: Option<Held>) -> Self {
        let mut taken = Self::nothing(parts);
        match held {
            Some(Held::Grant(part, grant)) => taken.grants.push((part, grant)),
            Some(Held::Permit(door, permit)) => taken.permits.push((door, permit)),
            None => {}
        }
        taken
    }

    /// Makes it of what each part has given, in their order.
    pub(super) fn each(parts: &'c [Arc<dyn Part<S>>], grants: Vec<Grant>) -> Self {
        let grants = grants.into_iter().enumerate().collect();
        Self { parts, grants, permits: Vec::new() }
    }

    /// Returns how many parts have given.
    pub(super) fn parts(&self) -> usize {
        self.grants.len()
    }

    /// Returns how many doors have given.
    pub(super) fn doors(&self) -> usize {
        self.permits.len()
    }

    pub(super) fn has_part(&self, index: usize) -> bool {
        self.grants.iter().any(|(own, _)| *own == index)
    }

    pub(super) fn has_door(&self, index: usize) -> bool {
        self.permits.iter().any(|(own, _)| *own == index)
    }

    /// Takes from every part that has not given yet; false if one refuses.
    pub(super) fn take_each<E>(
        &mut self,
        take: impl Fn(&dyn Part<S>) -> Result<Option<Grant>, E>,
    ) -> Result<bool, E> {
        for (index, part) in self.parts.iter().enumerate() {
            if !self.has_part(index) {
                let Some(grant) = take(&**part)? else { return Ok(false) };
                self.grants.push((index, grant));
            }
        }
        Ok(true)
    }

    /// Takes a permit of every door that has not given one yet; false if one has none.
    pub(super) fn enter_each(
        &mut self,
        doors: &[Arc<Door<S::Error>>],
        enter: impl Fn(&Door<S::Error>) -> Result<Entered, S::Error>,
    ) -> Result<bool, S::Error> {
        for (index, door) in doors.iter().enumerate() {
            if !self.has_door(index) {
                let Entered::Now(permit) = enter(door)? else { return Ok(false) };
                self.permits.push((index, permit));
            }
        }
        Ok(true)
    }

    /// Keeps all of it: the grants in the order of the parts.
    pub(super) fn into_all(mut self) -> (Vec<Grant>, CompositePermit) {
        let (mut grants, permits) =
            (std::mem::take(&mut self.grants), std::mem::take(&mut self.permits));
        grants.sort_unstable_by_key(|(index, _)| *index);
        let grants = grants.into_iter().map(|(_, grant)| grant).collect();
        (grants, CompositePermit::new(permits.into_iter().map(|(_, permit)| permit).collect()))
    }
}

impl<S: TimeSource> Drop for Taken<'_, S> {
    fn drop(&mut self) {
        for (index, grant) in self.grants.drain(..) {
            self.parts[index].give_back(grant);
        }
    }
}
