//! A policy's options by name: how it compares, prints and pickles.

use limitpal::{Jitter, RetrySettings};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use super::rules::Rules;
use crate::seconds;

/// Options by name in the order of the signature: those of 0.1.1 always, others where given.
pub(super) type Fields<'py> = Vec<(&'static str, Bound<'py, PyAny>)>;

pub(super) fn fields<'py>(
    py: Python<'py>,
    settings: &RetrySettings,
    rules: &Rules,
) -> PyResult<Fields<'py>> {
    let float = |number: f64| PyResult::Ok(number.into_pyobject(py)?.into_any());
    let mut fields = vec![("max_attempts", settings.max_attempts().into_pyobject(py)?.into_any())];
    if rules.delays.is_none() {
        fields.push(("base_delay", float(settings.base_delay())?));
    }
    fields.push(("max_delay", float(settings.max_delay())?));
    if let (None, Some(backoff)) = (&rules.delays, settings.backoff()) {
        fields.push(("backoff", float(backoff)?));
    }
    fields.push(("jitter", jitter(py, settings.jitter())?));
    fields.push(("retry_on", rules.retry_on.bind(py).clone().into_any()));
    let mut more = |name, value: Option<Bound<'py, PyAny>>| {
        fields.extend(value.map(|value| (name, value)));
    };
    more("delays", rules.delays.as_ref().map(|delays| delays.kept.bind(py).clone()));
    let floor = settings.min_delay();
    more("min_delay", (floor > 0.0).then(|| float(floor)).transpose()?);
    let classes = rules.delays_for.iter();
    let classes: Vec<_> = classes.map(|(kinds, delays)| (kinds, &delays.kept)).collect();
    let classes = PyTuple::new(py, classes)?.into_any();
    more("delays_for", (!rules.delays_for.is_empty()).then_some(classes));
    let function = |function: &Option<Py<PyAny>>| Some(function.as_ref()?.bind(py).clone());
    more("retry_if", function(&rules.retry_if));
    more("retry_on_result", function(&rules.retry_on_result));
    let max_elapsed = settings.max_elapsed().map(|span| float(seconds::float(span)));
    more("max_elapsed", max_elapsed.transpose()?);
    more("delay_from", function(&rules.delay_from));
    let longest = settings.max_server_delay();
    more("max_server_delay", (longest != 60.0).then(|| float(longest)).transpose()?);
    let seed = settings.seed().map(|seed| seed.into_pyobject(py));
    more("seed", seed.transpose()?.map(Bound::into_any));
    more("before_attempt", function(&rules.hooks.before_attempt));
    more("after_attempt", function(&rules.hooks.after_attempt));
    more("before_wait", function(&rules.hooks.before_wait));
    Ok(fields)
}

/// Returns a jitter as it is given: a number, or a name.
pub(super) fn jitter(py: Python<'_>, jitter: Jitter) -> PyResult<Bound<'_, PyAny>> {
    match jitter {
        Jitter::Share(share) => Ok(share.into_pyobject(py)?.into_any()),
        named => Ok(named.as_str().into_pyobject(py)?.into_any()),
    }
}

/// Returns them as the arguments that make an equal policy.
pub(super) fn keywords<'py>(py: Python<'py>, fields: &Fields<'py>) -> PyResult<Bound<'py, PyDict>> {
    let keywords = PyDict::new(py);
    for (name, value) in fields {
        keywords.set_item(name, value)?;
    }
    Ok(keywords)
}

/// Shows them as those arguments, functions and types by their names.
pub(super) fn shown(fields: &Fields<'_>) -> PyResult<String> {
    let mut shown = Vec::new();
    for (name, value) in fields {
        let text = match *name {
            "delays_for" => {
                let mut pairs = Vec::new();
                for pair in value.try_iter()? {
                    let (kinds, delays) =
                        pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
                    let kinds = if kinds.len()? == 1 { kinds.get_item(0)? } else { kinds };
                    pairs.push(format!("{}: {}", text_of(&kinds)?, text_of(&delays)?));
                }
                format!("{{{}}}", pairs.join(", "))
            }
            _ => text_of(value)?,
        };
        shown.push(format!("{name}={text}"));
    }
    Ok(shown.join(", "))
}

fn text_of(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(each) = value.cast::<PyTuple>() {
        let each = each.iter().map(|value| text_of(&value)).collect::<PyResult<Vec<_>>>()?;
        let comma = if each.len() == 1 { "," } else { "" };
        return Ok(format!("({}{comma})", each.join(", ")));
    }
    if value.is_instance_of::<PyType>() {
        return value.getattr(intern!(value.py(), "__name__"))?.extract();
    }
    if value.is_callable()
        && let Some(name) = value.getattr_opt(intern!(value.py(), "__qualname__"))?
    {
        return name.extract();
    }
    Ok(value.repr()?.to_string())
}
