//! What a caller's key stands for.

use std::sync::Arc;

use crate::algorithm::Limits;

/// Maps a caller's key to the bucket's.
pub type KeyBy<E> = Arc<dyn Fn(&str) -> Result<String, E> + Send + Sync>;

/// Says what limits of its own a key has, if any; asked when the key is new.
pub type QuotaBy<E> = Arc<dyn Fn(&str) -> Result<Option<Limits>, E> + Send + Sync>;

/// Whether keys are told apart, how they are mapped, and who knows their quotas.
pub struct Keys<E> {
    per_key: bool,
    rules: Option<Box<Rules<E>>>,
}

/// What is asked of the user's functions before a key is known.
struct Rules<E> {
    key_by: Option<KeyBy<E>>,
    quota: Option<QuotaBy<E>>,
}

impl<E> Keys<E> {
    /// Makes keys that are all one where not `per_key`.
    pub fn new(per_key: bool, key_by: Option<KeyBy<E>>) -> Self {
        Self::with_quota(per_key, key_by, None)
    }

    /// Makes keys that may have quotas of their own.
    pub fn with_quota(per_key: bool, key_by: Option<KeyBy<E>>, quota: Option<QuotaBy<E>>) -> Self {
        let has_rules = key_by.is_some() || quota.is_some();
        Self { per_key, rules: has_rules.then(|| Box::new(Rules { key_by, quota })) }
    }

    /// Returns whether keys are told apart.
    pub fn per_key(&self) -> bool {
        self.per_key
    }

    /// Returns whether one of the user's functions is asked before a key is known.
    #[inline]
    pub(super) fn has_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Returns who knows what limits of its own a key has.
    pub(super) fn quota(&self) -> Option<&QuotaBy<E>> {
        self.rules.as_ref()?.quota.as_ref()
    }

    /// Returns the text that a key stands for, if keys are told apart. One that a function has
    /// mapped is kept in `mapped`.
    #[inline(always)] // so that a key in two registers stays there
    pub fn text<'k>(&self, key: &'k str, mapped: &'k mut String) -> Result<Option<&'k str>, E> {
        if !self.per_key {
            return Ok(None);
        }
        match self.rules.as_ref().and_then(|rules| rules.key_by.as_ref()) {
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
