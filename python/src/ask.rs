//! The arguments that every limiter takes: a key and a cost.

use std::collections::TryReserveError;
use std::time::Duration;

use limitpal::parts::Request;
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyByteArray, PyBytes, PyFloat, PyInt, PyList, PyString, PyTuple};

use crate::errors;

/// A key: text, or an integer for its decimal text.
#[derive(Clone)]
pub(crate) enum Key<'a> {
    Text(&'a str),
    Number(String),
}

impl Key<'_> {
    /// What is asked for where nobody says what.
    pub(crate) const DEFAULT: Key<'static> = Key::Text("default");

    #[inline(always)]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Key::Text(text) => text,
            Key::Number(digits) => digits,
        }
    }

    /// Returns the key as it was given.
    pub(crate) fn for_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Key::Text(text) => Ok(PyString::new(py, text).into_any()),
            Key::Number(digits) => py.get_type::<PyInt>().call1((digits,)),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Key<'a> {
    type Error = PyErr;

    #[inline]
    fn extract(key: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match <&str>::extract(key) {
            Ok(text) => Ok(Key::Text(text)),
            Err(error) => digits(key, error).map(Key::Number),
        }
    }
}

/// Several keys: any iterable of them but a text, or bytes, which is one.
pub(crate) struct Keys<'a, 'py>(Borrowed<'a, 'py, PyAny>);

impl<'py> Keys<'_, 'py> {
    /// Makes something of the text of each, in order, until that fails.
    #[inline]
    pub(crate) fn map<T>(&self, make: impl Fn(&str) -> PyResult<T>) -> PyResult<Vec<T>> {
        // A tuple's items can be borrowed, and nobody changes it meanwhile.
        let keys = match self.0.cast_exact::<PyList>() {
            Ok(list) => list.to_tuple(),
            Err(_) => self.tuple()?,
        };
        let mut made = Vec::new();
        made.try_reserve_exact(keys.len()).map_err(no_room)?;
        for key in keys.iter_borrowed() {
            // Read here and not as a `Key`, which would be written to memory and read again.
            let number;
            made.push(make(match text(&key) {
                Ok(text) => text,
                Err(error) => {
                    number = digits(key, error)?;
                    &number
                }
            })?);
        }
        Ok(made)
    }

    /// Collects them, however many they say they are.
    fn tuple(&self) -> PyResult<Bound<'py, PyTuple>> {
        let mut keys = Vec::new();
        for key in self.0.try_iter()? {
            if keys.len() == keys.capacity() {
                keys.try_reserve(keys.len().max(64)).map_err(no_room)?;
            }
            keys.push(key?);
        }
        PyTuple::new(self.0.py(), keys)
    }

    /// Returns them as a list, each of which is a key.
    pub(crate) fn list(&self) -> PyResult<Bound<'py, PyList>> {
        let list = self.0.py().get_type::<PyList>().call1((self.0,))?.cast_into::<PyList>()?;
        list.iter().try_for_each(|key| Key::extract(key.as_borrowed()).map(drop))?;
        Ok(list)
    }
}

fn no_room(_: TryReserveError) -> PyErr {
    PyMemoryError::new_err("too many keys for the memory there is")
}

/// Returns the text of a key that is one. That it is just a `str` is seen without a call.
#[inline]
fn text<'k>(key: &'k Bound<'_, PyAny>) -> PyResult<&'k str> {
    match key.cast_exact::<PyString>() {
        Ok(text) => text.to_str(),
        Err(_) => key.extract(),
    }
}

/// Returns a list of answers: what most of them are, many times at once, and then the others.
pub(crate) fn list<'py>(py: Python<'py>, answers: &[bool]) -> PyResult<Bound<'py, PyList>> {
    let admitted = answers.iter().filter(|answer| **answer).count();
    let refused = answers.len() - admitted;
    let most = admitted >= refused;
    let list = PyList::new(py, [most])?.as_sequence().repeat(answers.len())?;
    let list = list.cast_into::<PyList>()?;
    let others = answers.iter().enumerate().filter(|(_, answer)| **answer != most);
    for (rank, answer) in others.take(admitted.min(refused)) {
        list.set_item(rank, answer)?;
    }
    Ok(list)
}

impl<'a, 'py> FromPyObject<'a, 'py> for Keys<'a, 'py> {
    type Error = PyErr;

    fn extract(keys: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let is_one = keys.is_instance_of::<PyString>()
            || keys.is_instance_of::<PyBytes>()
            || keys.is_instance_of::<PyByteArray>();
        let has = |name| keys.getattr_opt(name).map(|method| method.is_some());
        if !is_one && (has("__iter__")? || has("__getitem__")?) {
            return Ok(Self(keys));
        }
        let kind = keys.get_type().name()?;
        let shown = keys.repr()?.to_string().chars().take(80).collect::<String>();
        let advice = "give an iterable of keys, or ask for one key with allow()";
        Err(PyTypeError::new_err(format!("keys is {shown} ({kind}); {advice}")))
    }
}

/// Returns the decimal text of a key that is no text: only an integer has one.
#[cold]
fn digits(key: Borrowed<'_, '_, PyAny>, error: PyErr) -> PyResult<String> {
    if key.is_instance_of::<PyString>() {
        return Err(explain(key, error));
    }
    if key.is_instance_of::<PyInt>() && !key.is_instance_of::<PyBool>() {
        // An int's own decimal text, whatever a subclass prints.
        let digits = key.py().get_type::<PyInt>().call_method1("__repr__", (key,))?;
        return digits.extract();
    }
    let kind = key.get_type().name()?;
    let shown = key.repr()?.to_string().chars().take(80).collect::<String>();
    Err(PyTypeError::new_err(format!("key is {shown} ({kind}); give a str or an int")))
}

/// Says of a text that is no Unicode what is wrong with it.
#[cold]
fn explain(key: Borrowed<'_, '_, PyAny>, error: PyErr) -> PyErr {
    let py = key.py();
    let explain = || {
        let cause = error.value(py);
        let (start, end) = (cause.getattr("start")?, cause.getattr("end")?);
        let reason = "a key must be valid Unicode; this one has a lone surrogate";
        PyResult::Ok(PyUnicodeEncodeError::new_err((
            "utf-8",
            key.to_owned().unbind(),
            start.unbind(),
            end.unbind(),
            reason,
        )))
    };
    explain().unwrap_or_else(|_| error.clone_ref(py))
}

/// How many permits one call takes.
#[derive(Clone, Copy)]
pub(crate) struct Cost(pub(crate) u64);

impl Cost {
    pub(crate) const ONE: Self = Self(1);

    /// Returns the request of one who waits for a single limiter.
    pub(crate) fn request(self, timeout: Option<Duration>, fixed: bool) -> Request {
        Request { cost: self.0, timeout, fixed, ticket: None }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Cost {
    type Error = PyErr;

    #[inline]
    fn extract(cost: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if cost.is_exact_instance_of::<PyInt>()
            && let Ok(cost @ 1..) = cost.extract::<u64>()
        {
            return Ok(Self(cost));
        }
        const ADVICE: &str = "give a whole number of at least 1";
        // A cost beyond all bounds is above every capacity: never served, not refused.
        whole("cost", &cost.to_owned(), ADVICE).map(|cost| Self(cost.unwrap_or(u64::MAX)))
    }
}

/// Returns a whole number of at least 1 that is not too large.
pub(crate) fn count<T: TryFrom<u64>>(
    parameter: &str,
    value: &Bound<'_, PyAny>,
    advice: &str,
) -> PyResult<T> {
    let number = whole(parameter, value, advice)?.and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| errors::invalid_config(value.py(), parameter, value, advice))
}

/// Returns a whole number of at least 1, or none if it is beyond all bounds.
pub(crate) fn whole(
    parameter: &str,
    value: &Bound<'_, PyAny>,
    advice: &str,
) -> PyResult<Option<u64>> {
    let refuse = || errors::invalid_config(value.py(), parameter, value, advice);
    if value.is_instance_of::<PyBool>() {
        return Err(refuse());
    }
    let number = if let Ok(float) = value.cast::<PyFloat>() {
        let float = float.value();
        if float.fract() != 0.0 {
            return Err(refuse());
        }
        if float >= u64::MAX as f64 {
            return Ok(None);
        }
        float as u64
    } else if value.is_instance_of::<PyInt>() {
        match value.extract::<u64>() {
            Ok(number) => number,
            Err(_) if value.gt(0)? => return Ok(None),
            Err(_) => 0,
        }
    } else {
        0
    };
    if number == 0 { Err(refuse()) } else { Ok(Some(number)) }
}
