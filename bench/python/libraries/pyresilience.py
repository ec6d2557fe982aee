"""pyresilience: one decorator for everything, without keys."""

from __future__ import annotations

import contextlib
from typing import Any

from pyresilience import (
    BulkheadConfig,
    CircuitBreakerConfig,
    CircuitOpenError,
    RateLimiterConfig,
    RetryConfig,
    TimeoutConfig,
    resilient,
)
from turns.statement import Statement, statement

from .bare import awaited, f

LIMIT = RateLimiterConfig(max_calls=1_000_000_000, period=1.0)
OPEN = CircuitBreakerConfig(failure_threshold=1, recovery_timeout=1e6)


def run() -> Statement:
    """Call through limiter, retry and breaker."""
    decorate = resilient(
        retry=RetryConfig(), circuit_breaker=CircuitBreakerConfig(), rate_limiter=LIMIT
    )
    return statement("f(key)", f=decorate(f))


def await_run() -> Statement:
    """Await through limiter, retry and breaker."""
    decorate = resilient(
        retry=RetryConfig(), circuit_breaker=CircuitBreakerConfig(), rate_limiter=LIMIT
    )
    return statement("await f(key)", f=decorate(awaited))


def run_five() -> Statement:
    """Call through timeout, breaker, bulkhead, limiter and retry."""
    return statement("f(key)", f=five_stages()(f))


def await_five() -> Statement:
    """Await through timeout, breaker, bulkhead, limiter and retry."""
    return statement("await f(key)", f=five_stages()(awaited))


def five_stages() -> Any:
    """Return the decorator of all five."""
    return resilient(
        retry=RetryConfig(),
        timeout=TimeoutConfig(seconds=30.0),
        circuit_breaker=CircuitBreakerConfig(),
        bulkhead=BulkheadConfig(max_concurrent=10),
        rate_limiter=LIMIT,
    )


def retry() -> Statement:
    """Call through retry alone."""
    return statement("f(key)", f=resilient(retry=RetryConfig())(f))


def await_retry() -> Statement:
    """Await through retry alone."""
    return statement("await f(key)", f=resilient(retry=RetryConfig())(awaited))


def breaker() -> Statement:
    """Call through the breaker alone."""
    return statement("f(key)", f=resilient(circuit_breaker=CircuitBreakerConfig())(f))


def await_breaker() -> Statement:
    """Await through the breaker alone."""
    return statement("await f(key)", f=resilient(circuit_breaker=CircuitBreakerConfig())(awaited))


def open_breaker() -> Statement:
    """Be refused by the breaker."""

    @resilient(circuit_breaker=OPEN)
    def fail(key: str) -> None:
        raise OSError

    with contextlib.suppress(OSError):
        fail("user:0")
    text = "try:\n    f(key)\nexcept Refused:\n    pass"
    return statement(text, f=fail, Refused=CircuitOpenError)
