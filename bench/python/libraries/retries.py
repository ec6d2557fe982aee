"""tenacity, backoff and stamina: retry and nothing else."""

from __future__ import annotations

import backoff
import stamina
import tenacity
from turns.statement import Statement, statement

from .bare import awaited, f

TENACITY = tenacity.retry(
    stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_exponential(multiplier=0.1, max=5)
)
BACKOFF = backoff.on_exception(backoff.expo, Exception, max_tries=3)
STAMINA = stamina.retry(on=Exception, attempts=3)


def by_tenacity() -> Statement:
    """Call through tenacity's decorator."""
    return statement("f(key)", f=TENACITY(f))


def by_backoff() -> Statement:
    """Call through backoff's decorator."""
    return statement("f(key)", f=BACKOFF(f))


def by_stamina() -> Statement:
    """Call through stamina's decorator."""
    return statement("f(key)", f=STAMINA(f))


def await_by_tenacity() -> Statement:
    """Await through tenacity's decorator."""
    return statement("await f(key)", f=TENACITY(awaited))


def await_by_backoff() -> Statement:
    """Await through backoff's decorator."""
    return statement("await f(key)", f=BACKOFF(awaited))


def await_by_stamina() -> Statement:
    """Await through stamina's decorator."""
    return statement("await f(key)", f=STAMINA(awaited))
