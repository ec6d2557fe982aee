"""Every public name as a user would write it: nobody runs this, type checkers read it.

An ignored error is a claim too: both checkers report an ignore that nothing needs.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import Any, Literal

from typing_extensions import assert_type

import limitpal
from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    Clock,
    CompositeLimiter,
    Decision,
    InvalidConfigError,
    LeakyBucket,
    LimitPalError,
    MockClock,
    MonotonicClock,
    RateLimitExceeded,
    ResilientExecutor,
    RetryExhausted,
    RetryPolicy,
    SyncLimiter,
    TokenBucket,
)

assert_type(limitpal.__version__, str)


class Upstream(Exception):
    """An error of the user's own."""


class HandClock:
    """A clock of the user's own that inherits from nothing."""

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...

    async def sleep_async(self, seconds: float) -> None: ...


class DerivedClock(Clock):
    """A clock of the user's own that inherits, as 0.1.1 wanted it."""

    def now(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None: ...

    async def sleep_async(self, seconds: float) -> None: ...


class DuckLimiter:
    """A sync limiter of the user's own that inherits from nothing."""

    def allow(self, key: str = "default") -> bool:
        return bool(key)

    def acquire(self, key: str = "default", timeout: float | None = None) -> None: ...


class OwnLimiter(SyncLimiter):
    """A sync limiter of the user's own, as 0.1.1 wanted it."""

    def allow(self, key: str = "default") -> bool:
        return bool(key)

    def acquire(self, key: str = "default", timeout: float | None = None) -> None: ...


class OwnAsyncLimiter(AsyncLimiter):
    """An async limiter of the user's own, as 0.1.1 wanted it."""

    async def allow(self, key: str = "default") -> bool:
        return bool(key)

    async def acquire(self, key: str = "default", timeout: float | None = None) -> None: ...


class OwnAsyncDuckLimiter:
    """An async limiter of the user's own that inherits from nothing."""

    async def allow(self, key: str = "default") -> bool:
        return bool(key)

    async def acquire(self, key: str = "default", timeout: float | None = None) -> None: ...


class PlannedBucket(TokenBucket):
    """A limiter of ours with an `__init__` of the user's own."""

    def __init__(self, plan: str) -> None:
        super().__init__({"small": 10}.get(plan, 100), 5.0)


class Pipeline(ResilientExecutor):
    """An executor of ours with an `__init__` of the user's own."""

    def __init__(self, plan: str) -> None:
        super().__init__(CompositeLimiter([PlannedBucket(plan)]), charge="attempt")


def price(item: int, currency: str = "EUR") -> float:
    """A plain function of the user's."""
    return item * 1.5 + len(currency)


async def fetch(item: int, currency: str = "EUR") -> bytes:
    """A coroutine function of the user's."""
    return f"{item} {currency}".encode()


def started(item: int) -> Awaitable[str]:
    """A plain function that returns an awaitable."""
    raise NotImplementedError(item)


def anything() -> Any:
    """A function of an untyped library."""


def clocks() -> None:
    clock = MockClock(start_time=5.0, autojump=False)
    assert_type(clock.now(), float)
    clock.advance(1.5)
    clock.set_time(3)
    clock.sleep(0.5)
    every: list[Clock] = [MonotonicClock(), clock, HandClock(), DerivedClock()]
    for one in every:
        assert_type(one.now(), float)
    clock.advance("1")  # type: ignore[arg-type]
    Clock()  # type: ignore[misc]
    TokenBucket(1, 1.0, clock=object())  # type: ignore[arg-type]


async def async_clocks() -> None:
    await MonotonicClock().sleep_async(0)
    clock = MockClock()
    await clock.sleep_async(5)
    await clock.run_for(60)


def token_bucket() -> None:
    bucket = TokenBucket(
        capacity=10, refill_rate=100 / 60, clock=MockClock(), ttl=300, max_buckets=10_000
    )
    TokenBucket(10, 5, cleanup_interval=50, per_key=True, key_by=lambda key: len(key.strip()))
    TokenBucket(10, 5, key_by=float)  # type: ignore[arg-type]
    assert_type(bucket.allow(), bool)
    assert_type(bucket.allow("user:7", cost=2), bool)
    assert_type(bucket.allow(7), bool)
    bucket.acquire("user:7", timeout=1.5, cost=3)
    assert_type(bucket.check("user:7"), Decision)
    assert_type(bucket.peek(key="user:7", cost=4), Decision)
    assert_type(bucket.get_tokens("user:7"), float)
    assert_type(bucket.capacity, int)
    assert_type(bucket.refill_rate, float)
    assert_type(bucket.evicted_live, int)
    assert_type("user:7" in bucket, bool)
    assert_type(len(bucket), int)
    bucket.reset()
    bucket.reset("user:7")
    bucket.allow(b"user:7")  # type: ignore[arg-type]
    bucket.allow("user:7", cost="2")  # type: ignore[arg-type]
    TokenBucket("10", 1.0)  # type: ignore[arg-type]
    TokenBucket(10, 1.0, None, None, None, 100, False)  # type: ignore[call-arg]
    TokenBucket(10)  # type: ignore[call-arg]
    bucket.get_queue_size()  # type: ignore[attr-defined]
    bucket.capacity = 5  # type: ignore[misc]


def leaky_bucket() -> None:
    bucket = LeakyBucket(10, 5, per_key=False)
    assert_type(bucket.allow(), bool)
    bucket.acquire(timeout=0)
    assert_type(bucket.check(), Decision)
    assert_type(bucket.peek(), Decision)
    assert_type(bucket.get_queue_size("user:7"), int)
    assert_type(bucket.get_wait_time("user:7"), float)
    assert_type(bucket.capacity, int)
    assert_type(bucket.leak_rate, float)
    assert_type(bucket.evicted_live, int)
    assert_type("user:7" in bucket, bool)
    assert_type(len(bucket), int)
    bucket.reset("user:7")


def subclasses() -> None:
    assert_type(PlannedBucket("small").get_tokens(), float)
    assert_type(Pipeline("small").run("user:7", price, 3), float)
    PlannedBucket(10)  # type: ignore[arg-type]
    Pipeline()  # type: ignore[call-arg]


def decision(answer: Decision) -> None:
    assert_type(bool(answer), bool)
    assert_type(answer.allowed, bool)
    assert_type(answer.limit, int)
    assert_type(answer.remaining, int)
    assert_type(answer.retry_after, float | None)
    assert_type(answer.reset_after, float)
    assert_type(hash(answer), int)
    answer.remaining = 3  # type: ignore[misc]


def composite() -> None:
    limiter = CompositeLimiter(
        [TokenBucket(10, 5.0), LeakyBucket(20, 5.0), OwnLimiter(), DuckLimiter()],
        clock=MonotonicClock(),
    )
    nested = CompositeLimiter(limiters=(limiter, TokenBucket(1, 1.0, per_key=False)))
    assert_type(nested.allow("user:7"), bool)
    nested.acquire("user:7", timeout=2.0, cost=2)
    assert_type(nested.check("user:7"), Decision)
    assert_type(nested.peek("user:7"), Decision)
    assert_type(len(nested.limiters), int)
    nested.reset("user:7")
    len(nested)  # type: ignore[arg-type]
    CompositeLimiter([AsyncTokenBucket(10, 5.0)])  # type: ignore[list-item]


def any_limiter(limiter: SyncLimiter) -> bool:
    return limiter.allow("user:7")


def limiters_are_sync_limiters() -> None:
    for limiter in (TokenBucket(1, 1.0), LeakyBucket(1, 1.0), OwnLimiter()):
        any_limiter(limiter)
    any_limiter(CompositeLimiter([TokenBucket(1, 1.0)]))
    any_limiter(AsyncTokenBucket(1, 1.0))  # type: ignore[arg-type]


async def async_limiters() -> None:
    bucket = AsyncTokenBucket(10, 5.0, clock=MockClock(), per_key=False, key_by=str.upper)
    assert_type(await bucket.allow("user:7", cost=2), bool)
    await bucket.acquire(7, timeout=1.5)
    assert_type(await bucket.check(), Decision)
    assert_type(await bucket.peek(), Decision)
    assert_type(await bucket.get_tokens("user:7"), float)
    assert_type(bucket.capacity, int)
    assert_type(bucket.refill_rate, float)
    assert_type(bucket.evicted_live, int)
    assert_type("user:7" in bucket, bool)
    assert_type(len(bucket), int)
    await bucket.reset("user:7")
    leaky = AsyncLeakyBucket(capacity=10, leak_rate=5.0, ttl=60, max_buckets=5)
    assert_type(await leaky.allow(), bool)
    await leaky.acquire(cost=3)
    assert_type(await leaky.get_queue_size(), int)
    assert_type(await leaky.get_wait_time(), float)
    assert_type(leaky.leak_rate, float)
    both = AsyncCompositeLimiter([bucket, leaky, OwnAsyncLimiter(), OwnAsyncDuckLimiter()])
    assert_type(await both.allow("user:7"), bool)
    await both.acquire("user:7", timeout=1)
    assert_type(await both.check("user:7"), Decision)
    assert_type(await both.peek("user:7"), Decision)
    await both.reset()
    AsyncCompositeLimiter([TokenBucket(10, 5.0)])  # type: ignore[list-item]
    AsyncTokenBucket(10, 5.0, key_by=float)  # type: ignore[arg-type]
    every: list[AsyncLimiter] = [bucket, leaky, both, OwnAsyncLimiter()]
    for one in every:
        assert_type(await one.allow("user:7"), bool)


def circuit_breaker() -> None:
    breaker = CircuitBreaker(
        failure_threshold=5, recovery_timeout=30, half_open_success_threshold=2, clock=HandClock()
    )
    CircuitBreaker(ignore=(KeyError,))
    CircuitBreaker(ignore=KeyError)
    assert_type(breaker.state, Literal["closed", "open", "half_open"])
    if breaker.allow():
        breaker.record_success()
        breaker.record_failure()
    breaker.reset()
    assert_type(breaker.call(price, 3, currency="USD"), float)
    assert_type(breaker.call(lambda: [1]), list[int])
    breaker.call(price, "3")  # type: ignore[arg-type]


async def circuit_breaker_async() -> None:
    breaker = CircuitBreaker()
    assert_type(await breaker.call_async(fetch, 3, currency="USD"), bytes)
    assert_type(await breaker.call_async(started, 3), str)
    assert_type(await breaker.call_async(price, 3), float)
    assert_type(await breaker.call_async(partial(fetch, 3)), bytes)
    assert_type(await breaker.call_async(anything), Any)
    assert_type(await asyncio.create_task(breaker.call_async(fetch, 3)), bytes)
    await breaker.call_async(fetch, "3")  # type: ignore[call-overload]


def executor() -> None:
    run = ResilientExecutor(
        limiter=TokenBucket(10, 5.0),
        retry_policy=RetryPolicy(),
        circuit_breaker=CircuitBreaker(),
        clock=MonotonicClock(),
        charge="attempt",
        acquire_timeout=2.0,
        timeout=9.0,
        attempt_timeout=3.0,
    ).run
    assert_type(run("user:7", price, 3), float)
    assert_type(run("user:7", price, 3, currency="USD"), float)
    assert_type(run(7, lambda: "x"), str)
    assert_type(run(key="user:7", func=lambda: "x"), str)
    assert_type(run("user:7", anything), Any)
    ResilientExecutor(DuckLimiter())
    ResilientExecutor(OwnLimiter())
    run("user:7", price, "3")  # type: ignore[arg-type]
    run("user:7", price, 3, coin="USD")  # type: ignore[call-arg]
    run("user:7")  # type: ignore[call-arg]
    ResilientExecutor(charge="run")  # type: ignore[arg-type]
    ResilientExecutor(AsyncTokenBucket(10, 5.0))  # type: ignore[arg-type]
    ResilientExecutor(None, None, None, None, "call")  # type: ignore[call-arg]


async def async_executor() -> None:
    executor = AsyncResilientExecutor(
        limiter=AsyncTokenBucket(10, 5.0),
        retry_policy=RetryPolicy(),
        circuit_breaker=CircuitBreaker(),
        clock=MockClock(),
        charge="call",
        acquire_timeout=2.0,
    )
    assert_type(await executor.run("user:7", fetch, 3), bytes)
    assert_type(await executor.run("user:7", fetch, 3, currency="USD"), bytes)
    assert_type(await executor.run("user:7", price, 3), float)
    assert_type(await executor.run("user:7", started, 3), str)
    assert_type(await executor.run("user:7", lambda: fetch(3)), bytes)
    assert_type(await executor.run("user:7", partial(fetch, 3)), bytes)
    assert_type(await executor.run(key="user:7", func=lambda: "x"), str)
    assert_type(await executor.run("user:7", anything), Any)
    assert_type(await asyncio.create_task(executor.run("user:7", fetch, 3)), bytes)
    first, second = await asyncio.gather(
        executor.run("user:7", fetch, 3), executor.run("user:7", price, 3)
    )
    assert_type(first, bytes)
    assert_type(second, float)
    AsyncResilientExecutor(OwnAsyncLimiter())
    AsyncResilientExecutor(OwnAsyncDuckLimiter())
    AsyncResilientExecutor(AsyncCompositeLimiter([AsyncLeakyBucket(1, 1.0)]))
    await executor.run("user:7", fetch, "3")  # type: ignore[call-overload]
    AsyncResilientExecutor(TokenBucket(10, 5.0))  # type: ignore[arg-type]
    AsyncResilientExecutor(charge="run")  # type: ignore[arg-type]


def errors() -> None:
    every: list[type[LimitPalError]] = [
        RateLimitExceeded,
        CircuitBreakerOpen,
        RetryExhausted,
        InvalidConfigError,
    ]
    refused = RateLimitExceeded("no token", key="user:7", retry_after=0.5)
    assert_type(refused.key, str | None)
    assert_type(refused.retry_after, float | None)
    assert_type(CircuitBreakerOpen(retry_after=1.0).retry_after, float | None)
    exhausted = RetryExhausted(attempts=3, last_error=Upstream(), reason="attempts")
    assert_type(exhausted.attempts, int | None)
    assert_type(exhausted.last_error, Exception | None)
    assert_type(exhausted.reason, str | None)
    invalid = InvalidConfigError(parameter="capacity", value=0, reason="give at least 1")
    assert_type(invalid.parameter, str | None)
    assert_type(invalid.value, object)
    assert_type(invalid.reason, str | None)
    problem: ValueError = invalid
    with suppress(*every):
        raise problem
