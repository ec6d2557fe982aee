//! Executors by name.

mod nearest;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::nearest::nearest;
use crate::call::ExecutorStats;
use crate::config::InvalidConfig;
use crate::executor::ResilientExecutor;

/// Executors by name, for all who call one service to go through one executor.
///
/// It is a handle: a clone shares everything. What it returns are handles too, so a run does not
/// go through the registry; whoever calls often keeps its executor.
///
/// ```
/// use limitpal::{Registry, ResilientExecutor, RetryPolicy};
///
/// let registry = Registry::<std::io::Error>::new();
/// let retries = ResilientExecutor::builder().retry_policy(RetryPolicy::default()).build()?;
/// registry.add("users", retries)?;
///
/// assert_eq!(7, registry.get("users")?.run_blocking("k", || Ok(7)).unwrap());
/// assert_eq!(
///     "name is \"user\"; there is no such executor, perhaps \"users\" is meant",
///     registry.get("user").unwrap_err().to_string(),
/// );
/// registry.get_or_create("pages", || ResilientExecutor::builder().build())?;
/// assert_eq!(vec!["pages", "users"], registry.names());
/// # Ok::<(), limitpal::InvalidConfig>(())
/// ```
pub struct Registry<E> {
    executors: Arc<RwLock<BTreeMap<String, ResilientExecutor<E>>>>,
}

impl<E> Registry<E> {
    /// Returns a registry without executors.
    pub fn new() -> Self {
        Self { executors: Arc::default() }
    }

    /// Adds an executor.
    ///
    /// # Errors
    ///
    /// The name is empty, or another executor has it.
    pub fn add(
        &self,
        name: impl Into<String>,
        executor: ResilientExecutor<E>,
    ) -> Result<(), InvalidConfig> {
        match self.write().entry(checked(name.into())?) {
            Entry::Vacant(place) => {
                place.insert(executor);
                Ok(())
            }
            Entry::Occupied(taken) => {
                let advice =
                    "an executor has this name already; give another, or remove that first";
                Err(refusal(taken.key(), advice))
            }
        }
    }

    /// Returns the executor of this name.
    ///
    /// # Errors
    ///
    /// There is none; the error says which name was meant, or which there are.
    pub fn get(&self, name: &str) -> Result<ResilientExecutor<E>, InvalidConfig> {
        let executors = self.read();
        executors.get(name).cloned().ok_or_else(|| unknown(name, &executors))
    }

    /// Returns the executor of this name; if there is none, that which `make` makes.
    ///
    /// `make` runs under no lock. If several threads ask at once it may run for each of them; all
    /// get the same executor, that of the first to be done.
    ///
    /// # Errors
    ///
    /// The name is empty, or what `make` says.
    pub fn get_or_create(
        &self,
        name: impl Into<String>,
        make: impl FnOnce() -> Result<ResilientExecutor<E>, InvalidConfig>,
    ) -> Result<ResilientExecutor<E>, InvalidConfig> {
        let name = checked(name.into())?;
        if let Some(executor) = self.read().get(&name) {
            return Ok(executor.clone());
        }
        let made = make()?;
        // Cloned before it is given away: one that comes too late is dropped after the lock.
        let kept = made.clone();
        let executor = self.write().entry(name).or_insert(kept).clone();
        drop(made);
        Ok(executor)
    }

    /// Takes an executor out and returns it; runs that it has begun go on.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn remove(&self, name: &str) -> Result<ResilientExecutor<E>, InvalidConfig> {
        let mut executors = self.write();
        let removed = executors.remove(name);
        removed.ok_or_else(|| unknown(name, &executors))
    }

    /// Returns whether there is an executor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.read().contains_key(name)
    }

    /// Returns the names that there are now, sorted.
    pub fn names(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// Returns the executors that there are now, by name.
    pub fn executors(&self) -> BTreeMap<String, ResilientExecutor<E>> {
        self.read().clone()
    }

    /// Returns what became of the runs of each executor, by its name.
    pub fn stats(&self) -> BTreeMap<String, ExecutorStats> {
        self.executors().into_iter().map(|(name, executor)| (name, executor.stats())).collect()
    }

    /// Returns how many executors there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, ResilientExecutor<E>>> {
        self.executors.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, ResilientExecutor<E>>> {
        self.executors.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checked(name: String) -> Result<String, InvalidConfig> {
    if name.is_empty() {
        return Err(refusal(&name, "give a text that is not empty"));
    }
    Ok(name)
}

fn refusal(name: &str, advice: impl Into<std::borrow::Cow<'static, str>>) -> InvalidConfig {
    InvalidConfig::new("name", format_args!("{name:?}"), advice)
}

/// Returns the error about a name that is not there.
#[cold]
fn unknown<T>(name: &str, there: &BTreeMap<String, T>) -> InvalidConfig {
    let names = || there.keys().map(String::as_str);
    let advice = match nearest(name, names()) {
        Some(near) => format!("there is no such executor, perhaps {near:?} is meant"),
        None if there.is_empty() => "there is no such executor".to_owned(),
        None => {
            let names: Vec<&str> = names().collect();
            format!("there is no such executor, but {}", names.join(", "))
        }
    };
    refusal(name, advice)
}

impl<E> Clone for Registry<E> {
    fn clone(&self) -> Self {
        Self { executors: Arc::clone(&self.executors) }
    }
}

impl<E> Default for Registry<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Registry<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.executors()).finish()
    }
}
