//! A keyed limiter as Python writes it down.

use limitpal::Evict;
use limitpal::parts::Algorithm;
use pyo3::prelude::*;

use crate::clock::PyClock;
use crate::counting::{Counting, Windows};
use crate::limiter::{Inner, KeyedLimiter};
use crate::{adaptive_limiter, fair_bucket, seconds};

/// Writes the settings down as they are given.
fn settings(limiter: &KeyedLimiter, py: Python<'_>) -> PyResult<String> {
    match &limiter.inner()?.counting {
        Counting::Buckets(keyed) => {
            let bucket = keyed.store().bucket();
            let rate = bucket.rate().as_per_second().into_pyobject(py)?.repr()?;
            let (capacity, initial) = (bucket.capacity(), bucket.initial());
            let mut text = format!("capacity={capacity}, {}={rate}", bucket.rate_name());
            if initial < capacity {
                text += &format!(", initial={initial}");
            }
            if bucket.debt() > 0 {
                text += &format!(", debt={}", bucket.debt());
            }
            Ok(text)
        }
        Counting::Ramp(keyed) => {
            let bucket = keyed.store().bucket();
            let rate = bucket.rate().as_per_second().into_pyobject(py)?.repr()?;
            let warm_up = seconds::float(bucket.warm_up()).into_pyobject(py)?.repr()?;
            let cold = bucket.cold_factor().into_pyobject(py)?.repr()?;
            let bucket = format!("capacity={}, refill_rate={rate}", Algorithm::capacity(&bucket));
            Ok(format!("{bucket}, warm_up={warm_up}, cold_factor={cold}"))
        }
        Counting::Windows(windows) => {
            let ((limit, per), Windows { align, .. }) = (windows.limits(), windows);
            let per = seconds::float(per).into_pyobject(py)?.repr()?;
            let align = align.map(|align| format!(", align='{align}'")).unwrap_or_default();
            Ok(format!("limit={limit}, per={per}{align}"))
        }
        Counting::Adaptive(keyed) => adaptive_limiter::shown(py, keyed),
        Counting::Fair(fair) => fair_bucket::settings(py, fair.shares()),
    }
}

/// Writes a limiter down, by the name of its class.
pub(crate) fn of(limiter: &KeyedLimiter, py: Python<'_>, name: &str) -> PyResult<String> {
    let (part, Inner { key_by, quota, .. }) = (limiter.part()?, limiter.inner()?);
    let mut text = format!("{name}({}", settings(limiter, py)?);
    if !matches!(part.source(), PyClock::Monotonic) {
        text += &format!(", clock={}", part.source().for_python(py)?.repr()?);
    }
    if let Some(ttl) = part.options().ttl {
        text += &format!(", ttl={}", seconds::float(ttl).into_pyobject(py)?.repr()?);
    }
    if let Some(max_buckets) = part.options().max_buckets {
        text += &format!(", max_buckets={max_buckets}");
    }
    if part.options().evict != Evict::default() {
        text += &format!(", evict='{}'", part.options().evict.as_str());
    }
    if !part.per_key() {
        text += ", per_key=False";
    }
    for (name, function) in [("key_by", key_by), ("quota", quota)] {
        if let Some(function) = function {
            text += &format!(", {name}={}", function.bind(py).repr()?);
        }
    }
    Ok(text + ")")
}
