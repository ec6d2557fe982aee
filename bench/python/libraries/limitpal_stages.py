"""limitpal: executors of five stages."""

from __future__ import annotations

from turns.statement import Statement, statement

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    Bulkhead,
    CircuitBreaker,
    ResilientExecutor,
    RetryPolicy,
)

from .limitpal import FAST, PLENTY, awaited, call, limiter


def run() -> Statement:
    """Run a call through timeout, breaker, bulkhead, limiter and retry."""
    executor = ResilientExecutor(
        limiter(), RetryPolicy(), CircuitBreaker(), attempt_timeout=30.0, bulkhead=Bulkhead(10)
    )
    return statement("run(key, call)", run=executor.run, call=call)


def await_run() -> Statement:
    """Run a coroutine function through timeout, breaker, bulkhead, limiter and retry."""
    executor = AsyncResilientExecutor(
        AsyncTokenBucket(PLENTY, FAST),
        RetryPolicy(),
        CircuitBreaker(),
        attempt_timeout=30.0,
        bulkhead=Bulkhead(10),
    )
    return statement("await run(key, call)", run=executor.run, call=awaited)
