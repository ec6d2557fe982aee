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

            /// Returns how many newcomers were refused because there was no room for them.
            pub fn refused_new(&self) -> u64 {
                self.keyed.store().refused_new()
            }

            /// Changes the limits of all keys that have none of their own: see [`Change`].
            pub fn reconfigure(&self) -> Change<'_, Self> {
                Change::new(&*self.keyed, None)
            }

            /// Gives a key limits of its own, or changes them: see [`Change`]. They stay until
            /// [`unconfigure`](Self::unconfigure), however long the key is not used.
            pub fn configure<'l>(&'l self, key: &'l str) -> Change<'l, Self> {
                Change::new(&*self.keyed, Some(key))
            }

            /// Takes a key's own limits away: it goes by those of all from now on. A key without
            /// any stays as it is.
            pub fn unconfigure(&self, key: &str, carry: Carry) {
                sure(Part::unconfigure(&*self.keyed, key, carry));
            }

            /// Returns the most permits that this key can be admitted in any window, as
            /// [`bound`](AnyLimiter::bound) does for those without limits of their own.
            pub fn bound_of(&self, key: &str, window: Duration) -> u64 {
                sure(Part::bound_of(&*self.keyed, key, window))
            }
        }

        /// What outlives the process.
        impl $handle {
            /// Writes down what is remembered of each key that is not as new, for
            /// [`restore`](Self::restore) in another process.
            ///
            /// Others go on meanwhile: a key is written as it is at some instant of the call.
            /// Those who wait are not in it; what waits for a bucket counts as taken. It holds no
            /// key, but what lets one aim at a bucket: keep it as you keep a secret.
            pub fn snapshot(&self) -> Vec<u8> {
                sure(self.keyed.snapshot())
            }

            /// Remembers what a snapshot does, before the first call.
            ///
            /// The time in between counts as none, so never more is admitted than without the
            /// restart: [`bound`](AnyLimiter::bound) holds across it. The options but `per_key`
            /// and `key_by` may have changed.
            ///
            /// # Errors
            ///
            /// A snapshot that is damaged, of another version, or of a limiter with other limits; a
            /// limiter that was used already; fewer `max_buckets` than the snapshot has keys. All
            /// is then as it was.
            pub fn restore(&self, snapshot: &[u8]) -> Result<(), InvalidConfig> {
                sure(self.keyed.restore(snapshot))
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
