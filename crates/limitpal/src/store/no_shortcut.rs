//! The shortcuts that there are not: windows are always changed under the lock.

use super::answer::Grant;
use super::shard::{Settings, Shard};
use super::stored::{Front, Held, Shortcut};
use crate::algorithm::{Mark, Window};
use crate::shards::Fingerprint;

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

impl<W: Window> Front<W> for NoShortcut {
    fn new(_shards: usize) -> Option<Self> {
        None
    }

    fn take(
        &self,
        _key: Fingerprint,
        _shard: usize,
        _take: impl FnOnce(&mut W::State) -> Option<Mark>,
    ) -> bool {
        match *self {}
    }

    fn hold(&self, _shard: &mut Shard<W>, _index: usize, _key: Fingerprint) {
        match *self {}
    }

    fn hold_all(&self, _shard: &mut Shard<W>, _index: usize) {
        match *self {}
    }

    fn settle(&self, _shard: &mut Shard<W>, _index: usize, _key: Fingerprint) {
        match *self {}
    }
}
