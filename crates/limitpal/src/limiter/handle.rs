//! What every handle to a keyed limiter has besides its read-outs.

/// Writes it for one of them.
macro_rules! keyed_handle {
    ($handle:ident, $algorithm:ty) => {
        impl $handle {
            /// Returns whether a key is remembered now.
            pub fn contains(&self, key: &str) -> bool {
                sure(self.keyed.contains(sure(self.keyed.fingerprint(key))))
            }

            /// Returns how many keys are remembered now.
            pub fn len(&self) -> usize {
                sure(self.keyed.remembered())
            }

            /// Returns whether no key is remembered now.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Returns how many keys `max_buckets` has cost that were not as new again.
            pub fn evicted_live(&self) -> u64 {
                self.keyed.store().evicted_live()
            }
        }

        impl From<Arc<Keyed<SharedClock, $algorithm>>> for $handle {
            fn from(keyed: Arc<Keyed<SharedClock, $algorithm>>) -> Self {
                Self { any: keyed.clone().into(), keyed }
            }
        }

        impl From<$handle> for AnyLimiter {
            fn from(limiter: $handle) -> Self {
                limiter.any
            }
        }

        impl Deref for $handle {
            type Target = AnyLimiter;

            fn deref(&self) -> &AnyLimiter {
                &self.any
            }
        }

        impl fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.any.fmt(f)
            }
        }
    };
}
pub(super) use keyed_handle;
