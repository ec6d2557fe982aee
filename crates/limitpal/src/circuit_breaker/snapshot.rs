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
use crate::config::InvalidConfig;
use crate::store::checksum;
use crate::time::Instant;

const MAGIC: [u8; 8] = *b"limitpal";
const VERSION: u16 = 1;
const KIND: [u8; 7] = *b"breaker";

impl BreakerCell {
    /// Writes down what is remembered; instants by how far from now they are.
    ///
    /// # Errors
    ///
    /// What `read` fails with.
    pub fn snapshot<E>(&self, read: impl FnMut() -> Result<Instant, E>) -> Result<Vec<u8>, E> {
        let numbers = self.change_at(read, |breaker, now| breaker.save(now))?;
        let words = self.words();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(KIND);
        bytes.extend((words.len() as u16).to_le_bytes());
        bytes.extend(words.as_bytes());
        bytes.extend(numbers.into_iter().flat_map(i64::to_le_bytes));
        let sum = checksum(&bytes);
        bytes.extend(sum.to_le_bytes());
        Ok(bytes)
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
        let numbers = match self.open(snapshot) {
            Ok(numbers) => numbers,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let loaded = self.change_at(read, |breaker, now| breaker.load(&numbers, now))?;
        Ok(loaded.ok_or_else(damaged))
    }

    fn open(&self, snapshot: &[u8]) -> Result<Vec<i64>, InvalidConfig> {
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
        if bytes.array() != Some(KIND) {
            return Err(refused("of a limiter", "give one of a circuit breaker"));
        }
        let length = u16::from_le_bytes(bytes.array().ok_or_else(damaged)?);
        let shown = bytes.slice(length.into()).ok_or_else(damaged)?;
        let own = self.words();
        if shown != own.as_bytes() {
            let advice = format!("give one of a breaker with the same options: {own}");
            return Err(refused("of a breaker with other options", advice));
        }
        let mut numbers = Vec::new();
        while !bytes.0.is_empty() {
            numbers.push(bytes.i64().ok_or_else(damaged)?);
        }
        Ok(numbers)
    }

    /// Says in words what it trips on and how it recovers.
    fn words(&self) -> String {
        let words = format!("{:?}", self.settings());
        // Of very many rules the first ones tell.
        words.chars().take(10_000).collect()
    }
}

fn damaged() -> InvalidConfig {
    refused("damaged", "give all the bytes that snapshot() returned")
}

fn refused(what: impl fmt::Display, advice: impl Into<Cow<'static, str>>) -> InvalidConfig {
    InvalidConfig::new("snapshot", what, advice)
}
