"""pybreaker and circuitbreaker: a breaker and nothing else."""

from __future__ import annotations

import contextlib

from circuitbreaker import CircuitBreaker as Circuit  # type: ignore[import-untyped]
from circuitbreaker import CircuitBreakerError as CircuitRefused
from pybreaker import CircuitBreaker, CircuitBreakerError
from turns.statement import Statement, statement

from .bare import awaited, f

CAUGHT = "try:\n    {}\nexcept Refused:\n    pass"


def by_pybreaker() -> Statement:
    """Call through pybreaker."""
    breaker = CircuitBreaker(fail_max=5, reset_timeout=60)
    return statement("through(f, key)", through=breaker.call, f=f)


def by_circuitbreaker() -> Statement:
    """Call through circuitbreaker's decorator."""
    return statement("f(key)", f=Circuit(failure_threshold=5, recovery_timeout=60)(f))


def await_by_circuitbreaker() -> Statement:
    """Await through circuitbreaker's decorator."""
    return statement("await f(key)", f=Circuit(failure_threshold=5, recovery_timeout=60)(awaited))


def open_by_pybreaker() -> Statement:
    """Be refused by pybreaker."""
    breaker = CircuitBreaker(fail_max=1, reset_timeout=1_000_000)
    breaker.open()
    text = CAUGHT.format("through(f, key)")
    return statement(text, through=breaker.call, f=f, Refused=CircuitBreakerError)


def open_circuit() -> Circuit:
    """Return circuitbreaker's breaker, open."""

    def fail() -> None:
        raise OSError

    breaker = Circuit(failure_threshold=1, recovery_timeout=1_000_000)
    with contextlib.suppress(OSError):
        breaker(fail)()
    return breaker


def open_by_circuitbreaker() -> Statement:
    """Be refused by circuitbreaker's decorator."""
    return statement(CAUGHT.format("f(key)"), f=open_circuit()(f), Refused=CircuitRefused)


def await_open_by_circuitbreaker() -> Statement:
    """Be refused by circuitbreaker's decorator, async."""
    text = CAUGHT.format("await f(key)")
    return statement(text, f=open_circuit()(awaited), Refused=CircuitRefused)
