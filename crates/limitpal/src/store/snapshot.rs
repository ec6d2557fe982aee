//! What a store remembers, as bytes: written down here, and read by a store of another process.
//!
//! All numbers are little-endian:
//!
//! ```text
//! "limitpal", version: u16, one bucket for everybody: u8,
//! what is limited, in words: u16 bytes, its numbers: 4 u64,
//! seeds of the fingerprints: 3 u64, records: u64, each of
//!     kind: u8 (1: a bucket, 2: a key that is closed, 3: both),
//!     fingerprint: u64 + u32, last use: i64, when it opens (2, 3): i64, state (1, 3)
//! checksum of all before: u32
//! ```

mod checksum;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;

pub(crate) use self::checksum::checksum;
use super::Store;
use super::access::Locked;
use super::shard::{Settings, Shard};
use super::stored::Stored;
use super::table::fits;
use crate::algorithm::{Bytes, put_from};
use crate::config::{HUNDRED_YEARS, InvalidConfig};
use crate::shards::{Fingerprint, Seeds};
use crate::sync::atomic::Ordering;
use crate::time::Instant;

const MAGIC: [u8; 8] = *b"limitpal";
const VERSION: u16 = 1;
/// A record of a bucket, of a key that is closed, or the sum of both.
const BUCKET: u8 = 1;
const CLOSED: u8 = 2;
/// How long a key may be closed, in nanoseconds.
const LONGEST: i64 = HUNDRED_YEARS.as_nanos() as i64;
/// What a bucket takes in most cases.
const USUAL: usize = 33;
/// How far ahead of now a last use may lie: no two are one instant, so those of one follow it.
const LATEST_USE: i64 = u32::MAX as i64;

/// What a store remembers, checked.
struct Opened<'b> {
    seeds: Seeds,
    records: u64,
    bytes: Bytes<'b>,
}

/// One bucket, and when it was last used.
struct Record<T> {
    key: Fingerprint,
    used: i64,
    opens: Option<Instant>,
    state: T,
}

impl<A: Stored> Shard<A> {
    /// Writes down all buckets that are not as new; returns how many they are.
    fn save(&mut self, settings: &Settings<A>, now: Instant) -> (u64, Vec<u8>) {
        let Self { table, lines, own, .. } = self;
        let common = own.as_ref().map_or(&settings.bucket, |own| &own.common.bucket);
        let (mut records, mut bytes) = (0, Vec::with_capacity(table.len() * USUAL));
        for slot in table.iter() {
            let (key, line) = (slot.key(), lines.get_mut(&slot.key()));
            let bucket = own.as_ref().map_or(common, |own| &own.settings(key).bucket);
            let facts = line.and_then(|line| bucket.facts(line, now));
            let state = facts.unwrap_or(&slot.state);
            let opens = own.as_ref().and_then(|own| own.closed_until(key)).filter(|at| *at > now);
            let is_live = bucket.fresh_at(state) > now;
            if !is_live && opens.is_none() {
                continue;
            }
            bytes.push(u8::from(is_live) * BUCKET + u8::from(opens.is_some()) * CLOSED);
            bytes.extend(key.low.get().to_le_bytes());
            bytes.extend(key.high.to_le_bytes());
            bytes.extend(slot.used.saturating_sub(now.as_nanos()).to_le_bytes());
            opens.into_iter().for_each(|opens| put_from(now, opens.as_nanos(), &mut bytes));
            match std::ptr::eq(bucket, common) {
                _ if !is_live => {}
                true => bucket.save(state, now, &mut bytes),
                // Limits of a key's own are not written down: its share of them is.
                false => common.save(&common.converted(bucket, state, now), now, &mut bytes),
            }
            records += 1;
        }
        (records, bytes)
    }
}

impl<A: Stored> Store<A> {
    /// Writes down all buckets that are not as new, one shard after the other. Meanwhile others
    /// go on: each bucket is written as it is at some instant of the call.
    pub fn snapshot<E>(&self, mut read: impl FnMut() -> Result<Instant, E>) -> Result<Vec<u8>, E> {
        let (mut records, mut shards) = (0, Vec::new());
        for index in 0..self.shards.len() {
            let save = |shard: &mut Shard<A>, now| shard.save(&self.settings, now);
            let (more, bytes) = self.with_shard(index, &mut read, save)?;
            records += more;
            shards.push(bytes);
        }
        let mut bytes = self.heading();
        // Who has a bucket has seeds.
        let Seeds { low, high, shared } = self.shards.seeds().unwrap_or_default();
        bytes.extend([low, high, shared, records].into_iter().flat_map(u64::to_le_bytes));
        bytes.reserve(shards.iter().map(Vec::len).sum::<usize>() + size_of::<u32>());
        shards.iter().for_each(|shard| bytes.extend(shard));
        let sum = checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
        Ok(bytes)
    }

    /// Remembers what a snapshot does, from now on. Refused whole, the store is as it was.
    ///
    /// All shards are locked meanwhile: nobody sees half of it.
    pub fn restore<E>(
        &self,
        snapshot: &[u8],
        read: impl FnOnce() -> Result<Instant, E>,
    ) -> Result<Result<(), InvalidConfig>, E> {
        let Opened { seeds, records, mut bytes } = match self.open(snapshot) {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let (now, bucket) = (read()?, self.bucket());
        let mut shards: Vec<_> = (0..self.shards.len()).map(|index| self.lock(index)).collect();
        let is_used = shards.iter().any(|shard| shard.table.len() > 0 || shard.has_quotas());
        if is_used || records > 0 && !self.shards.seed(seeds) {
            let advice = "restore it into a new one, before its first call";
            return Ok(Err(refused("given to a limiter that was used already", advice)));
        }
        let time = |shard: &mut Locked<'_, A>| Self::at_last(shard, Some(now));
        let times: Vec<_> = shards.iter_mut().map(time).collect();
        let latest = times.iter().max().copied().unwrap_or(now);
        if let Some((bucket, until)) = bucket.restored(latest) {
            let settings = self.settings.with(bucket);
            let set = |shard: &mut Locked<'_, A>| {
                shard.set_common(&self.settings, settings.clone(), until);
            };
            shards.iter_mut().for_each(set);
        }
        for _ in 0..records {
            let record = self.record(&bucket, &mut bytes, |key| times[self.index(key)]);
            let Record { key, used, opens, state } = record.expect("it was read once already");
            let shard = &mut shards[self.index(key)];
            shard.take_in(&self.settings, key, state, used);
            opens.into_iter().for_each(|opens| shard.close(&self.settings, key, opens));
        }
        if self.settings.options.max_buckets.is_some() {
            self.settings.counts.buckets.fetch_add(records as usize, Ordering::Relaxed);
        }
        Ok(Ok(()))
    }

    /// Writes what a snapshot begins with, up to the seeds.
    fn heading(&self) -> Vec<u8> {
        let (shown, numbers) = (self.limits(), self.bucket().numbers());
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.push(self.one_bucket.into());
        bytes.extend((shown.len() as u16).to_le_bytes());
        bytes.extend(shown.as_bytes());
        bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        bytes
    }

    /// Says in words what is limited, and how.
    fn limits(&self) -> String {
        struct Shown<'a, A>(&'a A);
        impl<A: Stored> fmt::Debug for Shown<'_, A> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut debug = f.debug_struct(self.0.name());
                self.0.show(&mut debug);
                debug.finish()
            }
        }
        format!("{:?}", Shown(&self.bucket()))
    }

    /// Checks a snapshot from its beginning to its end.
    fn open<'b>(&self, snapshot: &'b [u8]) -> Result<Opened<'b>, InvalidConfig> {
        let damaged = || refused("damaged", "give all the bytes that snapshot() returned");
        let (body, sum) = snapshot.split_last_chunk().ok_or_else(damaged)?;
        let mut bytes = Bytes(body);
        if bytes.array() != Some(MAGIC) || checksum(body) != u32::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let version = u16::from_le_bytes(bytes.array().ok_or_else(damaged)?);
        if version != VERSION {
            let advice = format!("give one of version {VERSION}");
            return Err(refused(format_args!("of version {version}"), advice));
        }
        self.same_limits(&mut bytes).ok_or_else(damaged)??;
        let mut number = || bytes.u64().ok_or_else(damaged);
        let seeds = Seeds { low: number()?, high: number()?, shared: number()? };
        let records = number()?;
        self.all_records(records, bytes.clone()).ok_or_else(damaged)?;
        match self.settings.options.max_buckets {
            Some(max) if records > max as u64 => {
                let advice = format!("give at least {records}, as many as the snapshot has");
                Err(InvalidConfig::new("max_buckets", max, advice))
            }
            _ => Ok(Opened { seeds, records, bytes }),
        }
    }

    /// Checks that a snapshot is of a limiter like this one; none if it cannot be read.
    fn same_limits(&self, bytes: &mut Bytes<'_>) -> Option<Result<(), InvalidConfig>> {
        let [one_bucket] = bytes.array()?;
        let length = u16::from_le_bytes(bytes.array()?);
        let shown = str::from_utf8(bytes.slice(length.into())?).ok()?;
        let numbers = [bytes.u64()?, bytes.u64()?, bytes.u64()?, bytes.u64()?];
        let own = self.limits();
        if shown != own {
            return Some(Err(refused(format_args!("of {shown}"), format!("give one of {own}"))));
        }
        if numbers != self.bucket().numbers() {
            let advice = "write the rate in the same words";
            return Some(Err(refused(format_args!("of another {shown}"), advice)));
        }
        if one_bucket != u8::from(self.one_bucket) {
            let [own, other] = [!self.one_bucket, self.one_bucket];
            let advice = format!("give one of per_key {own}");
            return Some(Err(refused(format_args!("of per_key {other}"), advice)));
        }
        Some(Ok(()))
    }

    /// Reads all records, and nothing behind them, for the sake of checking them.
    fn all_records(&self, records: u64, mut bytes: Bytes<'_>) -> Option<()> {
        let (mut keys, bucket) = (Vec::new(), self.bucket());
        for _ in 0..records {
            keys.push(self.record(&bucket, &mut bytes, |_| Instant::ZERO)?.key);
        }
        keys.sort_unstable_by_key(|key| (self.index(*key), *key));
        let are_apart = keys.windows(2).all(|pair| pair[0] != pair[1]);
        let is_ours = |key: &Fingerprint| !self.one_bucket || *key == Fingerprint::EVERYBODY;
        let mut shards = keys.chunk_by(|one, other| self.index(*one) == self.index(*other));
        (bytes.0.is_empty() && are_apart && keys.iter().all(is_ours) && shards.all(fits))
            .then_some(())
    }

    /// Reads one bucket, at the time of its key's shard.
    fn record(
        &self,
        bucket: &A,
        bytes: &mut Bytes<'_>,
        now: impl Fn(Fingerprint) -> Instant,
    ) -> Option<Record<A::State>> {
        let [kind] = bytes.array()?;
        if !(BUCKET..=BUCKET + CLOSED).contains(&kind) {
            return None;
        }
        let key = Fingerprint { low: NonZeroU64::new(bytes.u64()?)?, high: bytes.u32()? };
        let (now, since) = (now(key), bytes.i64()?);
        let used = now.as_nanos().saturating_add(since.min(LATEST_USE));
        let opens = match kind & CLOSED {
            0 => None,
            _ => Some(bytes.i64().filter(|left| (1..=LONGEST).contains(left))?),
        };
        let opens = opens.map(|left| Instant::from_nanos(now.as_nanos().saturating_add(left)));
        let state = if kind & BUCKET > 0 { bucket.load(bytes, now)? } else { bucket.fresh() };
        Some(Record { key, used, opens, state })
    }
}

fn refused(what: impl fmt::Display, advice: impl Into<Cow<'static, str>>) -> InvalidConfig {
    InvalidConfig::new("snapshot", what, advice)
}
