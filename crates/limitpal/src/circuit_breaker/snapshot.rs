//! What a circuit remembers, as bytes: written down here, and read by a breaker of another process.
//!
//! All numbers are little-endian:
//!
//! ```text
//! "limitpal", version: u16, "breaker",
//! its settings, in words: u16 bytes, its state: i64 each,
//! checksum of all before: u32
//! ```

use std::borrow::Cow;
use std::fmt;

use super::BreakerCell;
use crate::algorithm::Bytes;
use crate::breaker::BreakerSettings;
use crate::config::InvalidConfig;
use crate::store::checksum;
use crate::time::Instant;

const MAGIC: [u8; 8] = *b"limitpal";
const VERSION: u16 = 1;

/// Of what a snapshot is.
pub(super) type Kind = [u8; 7];
const ONE: Kind = *b"breaker";
pub(super) const KEYED: Kind = *b"circuit";

impl BreakerCell {
    /// Writes down what is remembered; instants by how far from now they are.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn snapshot<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<Vec<u8>, E> {
        let numbers = self.change_at(read, |breaker, now| breaker.save(now))?;
        let mut bytes = heading(ONE, self.settings());
        bytes.extend(numbers.into_iter().flat_map(i64::to_le_bytes));
        Ok(sealed(bytes))
    }

    /// Goes on from a snapshot. Refused whole, all is as it was.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn restore<E>(
        &self,
        snapshot: &[u8],
        read: impl FnMut() -> Result<Instant, E>,
    ) -> Result<Result<(), InvalidConfig>, E> {
        let mut bytes = match opened(snapshot, ONE, self.settings()) {
            Ok(bytes) => bytes,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut numbers = Vec::new();
        while !bytes.0.is_empty() {
            match bytes.i64() {
                Some(number) => numbers.push(number),
                None => return Ok(Err(damaged())),
            }
        }
        let loaded = self.change_at(read, |breaker, now| breaker.load(&numbers, now))?;
        Ok(loaded.ok_or_else(damaged))
    }
}

/// Begins a snapshot.
pub(super) fn heading(kind: Kind, settings: &BreakerSettings) -> Vec<u8> {
    let words = words_of(settings);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(kind);
    bytes.extend((words.len() as u16).to_le_bytes());
    bytes.extend(words.as_bytes());
    bytes
}

/// Ends a snapshot.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

/// Returns what comes after the heading, if that fits.
pub(super) fn opened<'s>(
    snapshot: &'s [u8],
    kind: Kind,
    settings: &BreakerSettings,
) -> Result<Bytes<'s>, InvalidConfig> {
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
    let of = bytes.array::<7>();
    if of != Some(kind) {
        let advice = match kind {
            KEYED => "give one of a circuit breaker for each key",
            _ => "give one of a circuit breaker",
        };
        let what = match of {
            Some(ONE) => "of one breaker",
            Some(KEYED) => "of a breaker for each key",
            _ => "of a limiter",
        };
        return Err(refused(what, advice));
    }
    let length = u16::from_le_bytes(bytes.array().ok_or_else(damaged)?);
    let shown = bytes.slice(length.into()).ok_or_else(damaged)?;
    let own = words_of(settings);
    if shown != own.as_bytes() {
        let advice = format!("give one of a breaker with the same options: {own}");
        return Err(refused("of a breaker with other options", advice));
    }
    Ok(bytes)
}

/// Says in words what a breaker trips on and how it recovers.
fn words_of(settings: &BreakerSettings) -> String {
    let words = format!("{settings:?}");
    // Of very many rules the first ones tell.
    words.chars().take(10_000).collect()
}

pub(super) fn damaged() -> InvalidConfig {
    refused("damaged", "give all the bytes that snapshot() returned")
}

pub(super) fn refused(
    what: impl fmt::Display,
    advice: impl Into<Cow<'static, str>>,
) -> InvalidConfig {
    InvalidConfig::new("snapshot", what, advice)
}
