//! The extension module behind the Python package: glue only, one file per concept.

mod adaptive_concurrency;
mod adaptive_limiter;
mod ask;
mod async_executor;
mod attempt;
mod breaker;
mod breaker_callbacks;
mod breaker_parts;
mod breaker_permit;
mod callback;
mod client_throttle;
mod clock;
mod composite;
mod composite_core;
mod composite_parts;
mod composite_permit;
mod composite_run;
mod concurrency;
mod concurrency_permit;
mod coroutine;
mod counting;
mod decision;
mod errors;
mod exception_types;
mod executor;
mod fair_bucket;
mod given;
mod guard;
mod guarded;
mod hedge;
mod held;
mod judge;
mod keyed_breaker;
mod leaky_bucket;
mod limiter;
mod limiter_repr;
mod live;
mod observe;
mod options;
mod outer;
mod place;
mod quota;
mod race;
mod rate;
mod rehearsal;
mod retry;
mod retry_budget;
mod run;
mod run_errors;
mod seconds;
mod settings;
mod shared_clock;
mod shelf;
mod stats;
mod story;
mod timing;
mod token_bucket;
mod trip_rules;
mod unknown;
mod warm_up_bucket;
mod windows;

use pyo3::prelude::*;

/// The part of LimitPal that is written in Rust; `limitpal` has every name.
#[pymodule(gil_used = false)]
mod _limitpal {
    #[pymodule_export]
    use crate::adaptive_concurrency::{AdaptiveConcurrency, AdaptivePermit};
    #[pymodule_export]
    use crate::adaptive_limiter::AdaptiveLimiter;
    #[pymodule_export]
    use crate::attempt::Attempt;
    #[pymodule_export]
    use crate::breaker::CircuitBreaker;
    #[pymodule_export]
    use crate::breaker_parts::BreakerParts;
    #[pymodule_export]
    use crate::breaker_permit::LentPermit;
    #[pymodule_export]
    use crate::client_throttle::{ClientThrottle, LentRequest};
    #[pymodule_export]
    use crate::clock::MockTime;
    #[pymodule_export]
    use crate::composite::CompositeLimiter;
    #[pymodule_export]
    use crate::composite_core::CompositeCore;
    #[pymodule_export]
    use crate::composite_permit::CompositePermit;
    #[pymodule_export]
    use crate::composite_run::CompositeRun;
    #[pymodule_export]
    use crate::concurrency::ConcurrencyLimiter;
    #[pymodule_export]
    use crate::concurrency_permit::ConcurrencyPermit;
    #[pymodule_export]
    use crate::decision::Decision;
    #[pymodule_export]
    use crate::executor::ResilientExecutor;
    #[pymodule_export]
    use crate::fair_bucket::FairBucket;
    #[pymodule_export]
    use crate::keyed_breaker::KeyedCircuitBreaker;
    #[pymodule_export]
    use crate::leaky_bucket::LeakyBucket;
    #[pymodule_export]
    use crate::limiter::KeyedLimiter;
    #[pymodule_export]
    use crate::observe::Subscription;
    #[pymodule_export]
    use crate::place::Place;
    #[pymodule_export]
    use crate::rate::Rate;
    #[pymodule_export]
    use crate::retry::RetryPolicy;
    #[pymodule_export]
    use crate::retry_budget::RetryBudget;
    #[pymodule_export]
    use crate::shelf::{Shelf, ShelfView};
    #[pymodule_export]
    use crate::token_bucket::TokenBucket;
    #[pymodule_export]
    use crate::trip_rules::{ConsecutiveFailures, FailureRate, SlowCallRate};
    #[pymodule_export]
    use crate::warm_up_bucket::WarmUpBucket;
    #[pymodule_export]
    use crate::windows::{FixedWindow, SlidingWindowCounter, SlidingWindowLog, Window};
    #[pymodule_export]
    use crate::{async_executor::ExecutorCore, race::Race, run::Run};

    use crate::exception_types::Failure;
    use pyo3::prelude::*;
    use pyo3::types::PyTuple;

    /// Make the error that refuses an argument, for what is checked in Python.
    #[pyfunction]
    fn _invalid_config(parameter: &str, value: &Bound<'_, PyAny>, advice: &str) -> PyErr {
        crate::errors::invalid_config(value.py(), parameter, value, advice)
    }

    /// Return the capacity and the rate of a limit in words, for the async buckets.
    #[pyfunction]
    fn _in_words(
        rate: &Bound<'_, PyAny>,
        name: &str,
        capacity: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(u32, Rate)> {
        crate::rate::in_words(rate, name, capacity)
    }

    /// Begin a block of `limitpal.testing`.
    #[pyfunction]
    fn _begin_rehearsal(wait: bool, max_attempts: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        crate::rehearsal::begin(wait, max_attempts)
    }

    /// End the block with this number.
    #[pyfunction]
    fn _end_rehearsal(number: u64) {
        crate::rehearsal::end(number);
    }

    /// Return whether an error is a cancellation, by whatever name.
    #[pyfunction]
    fn _is_cancellation(error: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = error.py();
        let failure = Failure::of(py, &PyErr::from_value(error.clone()))?;
        Ok(failure == Failure::Cancelled)
    }

    /// Make the error about a function whose body runs only later.
    #[pyfunction]
    fn _lazy(result: &Bound<'_, PyAny>, func: &Bound<'_, PyAny>) -> PyResult<PyErr> {
        crate::coroutine::lazy(result, func)
    }

    /// Refuse delays outside their ranges, for the values that are made in Python.
    #[pyfunction]
    fn _check_delays(delays: &Bound<'_, PyAny>) -> PyResult<()> {
        crate::retry::delays::check(delays)
    }

    /// Refuse a hedge outside its ranges, which is made in Python.
    #[pyfunction]
    fn _check_hedge(hedge: &Bound<'_, PyAny>) -> PyResult<()> {
        crate::hedge::settings_of(hedge).map(drop)
    }

    /// Return what makes a strict limiter of a limit in words: a log's numbers, or a bucket's.
    #[pyfunction]
    fn _strictly<'py>(
        rate: &Bound<'py, PyAny>,
        burst: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        crate::rate::strictly(rate, burst)
    }

    /// Return several keys as a list, for what asks them in Python.
    #[pyfunction]
    fn _keys(keys: crate::ask::Keys<'_, '_>) -> PyResult<Py<PyAny>> {
        keys.list().map(|keys| keys.into_any().unbind())
    }
}
