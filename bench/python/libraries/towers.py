"""The towers of decorators that one executor stands in for."""

from __future__ import annotations

from aiolimiter import AsyncLimiter
from circuitbreaker import circuit  # type: ignore[import-untyped]
from pybreaker import CircuitBreaker
from ratelimit import limits, sleep_and_retry  # type: ignore[import-untyped]
from tenacity import retry, stop_after_attempt, wait_exponential
from turns.statement import Statement, statement


def run() -> Statement:
    """Call through the articles' tower: pybreaker, tenacity, ratelimit."""
    breaker = CircuitBreaker(fail_max=5, reset_timeout=60)

    @breaker
    @retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=1, min=1, max=10))
    @sleep_and_retry  # type: ignore[untyped-decorator]
    @limits(calls=1_000_000_000, period=60)  # type: ignore[untyped-decorator]
    def tower(key: str) -> None:
        pass

    return statement("tower(key)", tower=tower)


def await_run() -> Statement:
    """Await the tower that works for coroutines: circuitbreaker, tenacity, aiolimiter."""
    limiter = AsyncLimiter(1e9, 1)

    @circuit(failure_threshold=5, recovery_timeout=60)  # type: ignore[untyped-decorator]
    @retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=1, min=1, max=10))
    async def tower(key: str) -> None:
        async with limiter:
            pass

    return statement("await tower(key)", tower=tower)
