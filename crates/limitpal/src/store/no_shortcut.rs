//! The shortcut that there is not: windows are always changed under the lock.

use super::answer::Grant;
use super::shard::{Settings, Shard};
use super::stored::{Held, Shortcut};
use crate::algorithm::{Mark, Window};

/// There is none of it.
#[derive(Debug)]
pub enum NoShortcut {}

impl<W: Window> Shortcut<W> for NoShortcut {
    fn new(_bucket: &W) -> Option<Self> {
        None
    }

    fn change(
        &self,
        _cost: u64,
        _is_final: bool,
        _take: impl Fn(&mut W::State) -> Option<Mark>,
    ) -> Result<Option<Grant>, Held> {
        match *self {}
    }

    fn hold(&self, _shard: &mut Shard<W>, _settings: &Settings<W>) {
        match *self {}
    }

    fn release(&self, _shard: &Shard<W>) {
        match *self {}
    }

    fn epoch(&self, _shard: &Shard<W>, _told: u64) -> u64 {
        match *self {}
    }

    fn refused(&self) -> u64 {
        match *self {}
    }
}
