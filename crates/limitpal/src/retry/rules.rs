//! What a retry policy asks of the user's own functions about an error.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::hooks::Hooks;
use super::spacing::Spacing;

/// Says something about an error of the user's.
pub(super) type Predicate<E> = Arc<dyn Fn(&E) -> bool + Send + Sync>;

/// Reads from an error when the server wants the next attempt.
type DelayFrom<E> = Arc<dyn Fn(&E) -> Option<Duration> + Send + Sync>;

/// Which errors belong to a class that has delays of its own.
pub(super) struct Class<E>(pub(super) Predicate<E>);

/// The user's own functions of a policy. Two are equal when each is one and the same.
pub(crate) struct Rules<E> {
    pub(super) retry_if: Option<Predicate<E>>,
    pub(super) classes: Vec<Class<E>>,
    pub(super) delay_from: Option<DelayFrom<E>>,
    /// Whether an attempt that was cut short deserves no other.
    pub(super) spares_timeouts: bool,
    pub(super) hooks: Hooks<E>,
}

impl<E> Rules<E> {
    /// Returns whether an error deserves another attempt, if there is one left.
    pub(super) fn retries(&self, error: &E) -> bool {
        self.retry_if.as_ref().is_none_or(|retry_if| retry_if(error))
    }

    /// Returns by what the delay after an error is computed.
    pub(super) fn spacing(&self, error: &E) -> Spacing {
        let asked = self.delay_from.as_ref().and_then(|delay_from| delay_from(error));
        if let Some(server) = asked.and_then(|delay| Spacing::server(delay.as_secs_f64())) {
            return server;
        }
        let class = self.classes.iter().position(|Class(belongs)| belongs(error));
        class.map_or(Spacing::Policy, Spacing::Class)
    }

    /// Shows which functions there are.
    pub(super) fn show(&self, shown: &mut fmt::DebugStruct<'_, '_>) {
        let given = [
            ("retry_if", self.retry_if.is_some()),
            ("delays_for", !self.classes.is_empty()),
            ("delay_from", self.delay_from.is_some()),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            shown.field(name, &format_args!("a closure"));
        }
        self.hooks.show(shown);
        if self.spares_timeouts {
            shown.field("retry_timeouts", &false);
        }
    }
}

impl<E> Default for Rules<E> {
    fn default() -> Self {
        Self {
            retry_if: None,
            classes: Vec::new(),
            delay_from: None,
            spares_timeouts: false,
            hooks: Hooks::default(),
        }
    }
}

impl<E> Clone for Class<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Clone for Rules<E> {
    fn clone(&self) -> Self {
        Self {
            retry_if: self.retry_if.clone(),
            classes: self.classes.clone(),
            delay_from: self.delay_from.clone(),
            spares_timeouts: self.spares_timeouts,
            hooks: self.hooks.clone(),
        }
    }
}

impl<E> PartialEq for Rules<E> {
    fn eq(&self, other: &Self) -> bool {
        fn same<T: ?Sized>(ours: Option<&Arc<T>>, theirs: Option<&Arc<T>>) -> bool {
            let address = |function: &Arc<T>| Arc::as_ptr(function).cast::<()>();
            ours.map(address) == theirs.map(address)
        }
        let mut pairs = self.classes.iter().zip(&other.classes);
        same(self.retry_if.as_ref(), other.retry_if.as_ref())
            && same(self.delay_from.as_ref(), other.delay_from.as_ref())
            && self.hooks == other.hooks
            && self.spares_timeouts == other.spares_timeouts
            && self.classes.len() == other.classes.len()
            && pairs.all(|(ours, theirs)| same(Some(&ours.0), Some(&theirs.0)))
    }
}
