//! What a caller's key stands for.

use std::sync::Arc;

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

    /// Returns the text that a key stands for, if keys are told apart. One that a function has
    /// mapped is kept in `mapped`.
    #[inline(always)] // so that a key in two registers stays there
    pub fn text<'k>(&self, key: &'k str, mapped: &'k mut String) -> Result<Option<&'k str>, E> {
        if !self.per_key {
            return Ok(None);
        }
        match &self.key_by {
            None => Ok(Some(key)),
            Some(key_by) => {
                *mapped = key_by(key)?;
                Ok(Some(mapped))
            }
        }
    }
}

impl<E> std::fmt::Debug for Keys<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("per_key", &self.per_key).finish_non_exhaustive()
    }
}
