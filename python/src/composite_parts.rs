//! The limiters that a composite is given: ours, and those of the user's own.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::ask::{Cost, Key};
use crate::clock::PyClock;
use crate::composite::CompositeLimiter;
use crate::concurrency::ConcurrencyLimiter;
use crate::coroutine::is_awaitable;
use crate::limiter::KeyedLimiter;
use crate::{errors, seconds};

/// What a composite is made of.
pub(crate) struct Parts<'py> {
    pub(crate) limiters: Bound<'py, PyTuple>,
    pub(crate) keyed: Vec<Py<KeyedLimiter>>,
    pub(crate) pools: Vec<Py<ConcurrencyLimiter>>,
    pub(crate) own: OwnParts,
}

impl<'py> Parts<'py> {
    /// Tells ours from the user's own.
    pub(crate) fn sort(limiters: &Bound<'py, PyAny>) -> PyResult<Self> {
        const ADVICE: &str = "give at least one limiter, each of them once";
        let py = limiters.py();
        let refuse = || errors::invalid_config(py, "limiters", limiters, ADVICE);
        let Ok(given) = limiters.try_iter() else { return Err(refuse()) };
        let given = given.collect::<PyResult<Vec<_>>>()?;
        let twice = |(rank, part): (usize, &Bound<'_, PyAny>)| {
            given[..rank].iter().any(|other| other.is(part))
        };
        if given.is_empty() || given.iter().enumerate().any(twice) {
            return Err(refuse());
        }
        let (mut keyed, mut pools, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for (rank, part) in given.iter().enumerate() {
            match Limiter::of(part, &format!("limiters[{rank}]"))? {
                Limiter::Keyed(limiter) => keyed.push(limiter.unbind()),
                Limiter::Concurrency(pool) => pools.push(pool.unbind()),
                Limiter::Composite(composite) => {
                    let (composite, own_parts) = (composite.get().core()?, composite.get().own()?);
                    keyed.extend(composite.limiters().iter().map(|part| part.clone_ref(py)));
                    pools.extend(composite.pools().iter().map(|pool| pool.clone_ref(py)));
                    own.extend(own_parts.iter(py));
                }
                Limiter::Own(limiter) => own.push(limiter.unbind()),
            }
        }
        let twice = |(rank, part): (usize, &Py<PyAny>)| own[..rank].iter().any(|o| o.is(part));
        if own.iter().enumerate().any(twice) {
            return Err(refuse());
        }
        Ok(Self { limiters: PyTuple::new(py, given)?, keyed, pools, own: OwnParts(own) })
    }
}

/// A sync limiter that was given: one of ours, read in Rust, or one to be called.
pub(crate) enum Limiter<'py> {
    Keyed(Bound<'py, KeyedLimiter>),
    Composite(Bound<'py, CompositeLimiter>),
    /// One whose permit is to be held.
    Concurrency(Bound<'py, ConcurrencyLimiter>),
    Own(Bound<'py, PyAny>),
}

impl<'py> Limiter<'py> {
    /// Resolves an argument; an async limiter is refused by the name of its twin.
    pub(crate) fn of(limiter: &Bound<'py, PyAny>, parameter: &str) -> PyResult<Self> {
        if let Ok(keyed) = limiter.cast::<KeyedLimiter>()
            && has_own_methods(limiter, &limiter.py().get_type::<KeyedLimiter>())?
        {
            return Ok(Self::Keyed(keyed.clone()));
        }
        if let Ok(composite) = limiter.cast::<CompositeLimiter>()
            && has_own_methods(limiter, &limiter.py().get_type::<CompositeLimiter>())?
        {
            return Ok(Self::Composite(composite.clone()));
        }
        if let Ok(pool) = limiter.cast::<ConcurrencyLimiter>()
            && has_own_permits(limiter)?
        {
            return Ok(Self::Concurrency(pool.clone()));
        }
        // Who is async is known to Python.
        let check = limiter.py().import("limitpal._limiters")?.getattr("check_sync")?;
        check.call1((limiter, parameter))?;
        Ok(Self::Own(limiter.clone()))
    }
}

/// Returns the clock of a limiter of ours, a subclass's too; none for one of the user's own.
pub(crate) fn clock_of(limiter: &Bound<'_, PyAny>) -> Option<PyClock> {
    let py = limiter.py();
    if let Ok(keyed) = limiter.cast::<KeyedLimiter>() {
        return Some(keyed.get().part().ok()?.source().clone_ref(py));
    }
    let composite = limiter.cast::<CompositeLimiter>().ok()?;
    Some(composite.get().core().ok()?.source().clone_ref(py))
}

/// Returns whether `allow` and `acquire` are those of `class`, not a subclass's.
fn has_own_methods(limiter: &Bound<'_, PyAny>, class: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = limiter.py();
    Ok(is_own(limiter, class, intern!(py, "allow"))?
        && is_own(limiter, class, intern!(py, "acquire"))?)
}

/// Returns whether a concurrency limiter gives permits as ours do, not in a subclass's way.
fn has_own_permits(limiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = limiter.py();
    let class = py.get_type::<ConcurrencyLimiter>();
    Ok(is_own(limiter, &class, intern!(py, "try_acquire"))?
        && is_own(limiter, &class, intern!(py, "acquire"))?)
}

fn is_own(
    limiter: &Bound<'_, PyAny>,
    class: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
) -> PyResult<bool> {
    Ok(limiter.get_type().getattr(name)?.is(&class.getattr(name)?))
}

/// Limiters of the user's own: any objects with `allow` and `acquire`.
pub(crate) struct OwnParts(Vec<Py<PyAny>>);

impl OwnParts {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the clocks of those that are subclasses of ours.
    pub(crate) fn clocks(&self, py: Python<'_>) -> Vec<PyClock> {
        self.0.iter().filter_map(|part| clock_of(part.bind(py))).collect()
    }

    fn iter<'a>(&'a self, py: Python<'a>) -> impl Iterator<Item = Py<PyAny>> + 'a {
        self.0.iter().map(move |part| part.clone_ref(py))
    }

    /// Asks each in order, until one refuses.
    pub(crate) fn allow(&self, py: Python<'_>, key: &Key<'_>, cost: Cost) -> PyResult<bool> {
        for part in &self.0 {
            let arguments = named(py, None, cost)?;
            let answer = part.bind(py).call_method(
                intern!(py, "allow"),
                (key.for_python(py)?,),
                Some(&arguments),
            )?;
            refuse_awaitable(&answer, "allow")?;
            if !answer.is_truthy()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Acquires from each in order.
    pub(crate) fn acquire(
        &self,
        py: Python<'_>,
        key: &Key<'_>,
        cost: Cost,
        left: impl Fn() -> PyResult<Option<Duration>>,
    ) -> PyResult<()> {
        self.0.iter().try_for_each(|part| acquire_own(part.bind(py), key, cost, left()?))
    }

    /// Resets each that can be.
    pub(crate) fn reset(&self, py: Python<'_>, key: Option<&Key<'_>>) -> PyResult<()> {
        let key = key.map(|key| key.for_python(py)).transpose()?;
        for part in &self.0 {
            if let Some(reset) = part.bind(py).getattr_opt(intern!(py, "reset"))? {
                reset.call1((key.clone(),))?;
            }
        }
        Ok(())
    }

    /// Calls those that have such a method.
    pub(crate) fn call_those_with(
        &self,
        name: &str,
        arguments: &Bound<'_, PyTuple>,
    ) -> PyResult<()> {
        for part in &self.0 {
            if let Some(method) = part.bind(arguments.py()).getattr_opt(name)? {
                method.call1(arguments)?;
            }
        }
        Ok(())
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.iter().try_for_each(|part| visit.call(part))
    }
}

/// Acquires from a limiter of the user's own.
pub(crate) fn acquire_own(
    limiter: &Bound<'_, PyAny>,
    key: &Key<'_>,
    cost: Cost,
    timeout: Option<Duration>,
) -> PyResult<()> {
    let py = limiter.py();
    let key = key.for_python(py)?;
    let arguments = named(py, timeout, cost)?;
    let done = limiter.call_method(intern!(py, "acquire"), (key,), Some(&arguments))?;
    refuse_awaitable(&done, "acquire")
}

/// Refuses the answer of a limiter that is async after all.
fn refuse_awaitable(answer: &Bound<'_, PyAny>, call: &str) -> PyResult<()> {
    let py = answer.py();
    if !is_awaitable(answer)? {
        return Ok(());
    }
    if let Some(close) = answer.getattr_opt(intern!(py, "close"))? {
        close.call0()?;
    }
    Err(PyTypeError::new_err(format!(
        "{call}() of a limiter of your own returned an awaitable; give it to the async twin"
    )))
}

/// Returns the arguments that are not the default: a limiter need not know them.
fn named<'py>(
    py: Python<'py>,
    timeout: Option<Duration>,
    cost: Cost,
) -> PyResult<Bound<'py, PyDict>> {
    let arguments = PyDict::new(py);
    if let Some(timeout) = timeout {
        arguments.set_item(intern!(py, "timeout"), seconds::float(timeout))?;
    }
    if cost.0 != 1 {
        arguments.set_item(intern!(py, "cost"), cost.0)?;
    }
    Ok(arguments)
}
