//! What an executor shows of what it was built of, and its handles.

use std::fmt;
use std::sync::Arc;

use super::ResilientExecutor;

impl<E> Clone for ResilientExecutor<E> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts) }
    }
}

impl<E> fmt::Debug for ResilientExecutor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.parts;
        let mut shown = f.debug_struct("ResilientExecutor");
        if let Some(limiter) = &parts.limiter {
            shown.field("limiter", limiter);
        }
        if let Some(guarded) = &parts.guarded {
            shown.field("bulkhead", guarded.bulkhead());
        }
        if let Some(policy) = &parts.retry_policy {
            shown.field("retry_policy", policy);
        }
        if let Some(breaker) = &parts.breaker {
            shown.field("circuit_breaker", breaker);
        }
        if let Some(budget) = &parts.budget {
            shown.field("retry_budget", budget);
        }
        if let Some(breakers) = &parts.breakers {
            shown.field("circuit_breaker", breakers);
        }
        if let Some(hedge) = &parts.plan.hedge {
            shown.field("hedge", &hedge.settings());
        }
        shown.field("clock", &parts.clock).field("charge", &parts.plan.charge);
        if let Some(timeout) = &parts.plan.acquire_timeout {
            shown.field("acquire_timeout", timeout);
        }
        if let Some(timeout) = &parts.plan.timeout {
            shown.field("timeout", timeout);
        }
        if let Some(timeout) = &parts.plan.attempt_timeout {
            shown.field("attempt_timeout", timeout);
        }
        if parts.ignore.is_some() {
            shown.field("ignore", &format_args!("a closure"));
        }
        shown.finish()
    }
}
