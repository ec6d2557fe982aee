//! What a caller's key stands for.

use std::sync::Arc;

use crate::shards::Fingerprint;

/// Maps a caller's key to the bucket's.
pub type KeyBy<E> = Arc<dyn Fn(&str) -> Result<String, E> + Send + Sync>;

/// Whether keys are told apart, and how they are mapped.
pub struct Keys<E> {
    per_key: bool,
    key_by: Option<KeyBy<E>>,
}

impl<E> Keys<E> {
    /// Makes keys that are all one where not `per_key`.
    pub fn new(per_key: bool, key_by: Option<KeyBy<E>>) -> Self {
        Self { per_key, key_by }
    }

    /// Returns whether keys are told apart.
    pub fn per_key(&self) -> bool {
        self.per_key
    }

    /// Returns the fingerprint of what a key stands for; `of` makes those of texts.
    #[inline(always)] // so that a key in two registers stays there
    pub fn fingerprint(
        &self,
        key: &str,
        of: impl Fn(&str) -> Fingerprint,
    ) -> Result<Fingerprint, E> {
        if !self.per_key {
            return Ok(Fingerprint::EVERYBODY);
        }
        match &self.key_by {
            Some(key_by) => key_by(key).map(|key| of(&key)),
            None => Ok(of(key)),
        }
    }
}

impl<E> std::fmt::Debug for Keys<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("per_key", &self.per_key).finish_non_exhaustive()
    }
}
