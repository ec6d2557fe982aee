"""LimitPal, ours or 0.1.1: whichever the environment has; their names are the same."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from turns.loop import known_keys
from turns.statement import Statement, statement

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    LeakyBucket,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

PLENTY = 4_000_000_000
FAST = 1e6  # per second
LONG = 1e6  # seconds


def call() -> None:
    """Do nothing: what an executor runs."""


async def awaited() -> None:
    """Do nothing, as a coroutine."""


def limiter(**options: Any) -> TokenBucket:
    """Return a limiter that allows everything."""
    return TokenBucket(PLENTY, FAST, **options)


def opened() -> CircuitBreaker:
    """Return a breaker that refuses."""
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=LONG)
    breaker.record_failure()
    return breaker


# Decisions.


def allow() -> Statement:
    """Take one token."""
    return statement("allow(key)", allow=limiter().allow)


def allow_bounded() -> Statement:
    """Take one token of a limiter that keeps all the books: idle times, and a cap."""
    return statement("allow(key)", allow=limiter(ttl=3600.0, max_buckets=10_000_000).allow)


def allow_leaky() -> Statement:
    """Join the leaky bucket."""
    return statement("allow(key)", allow=LeakyBucket(PLENTY, FAST).allow)


def allow_refused() -> Statement:
    """Ask an empty bucket."""
    return statement("allow(key)", allow=TokenBucket(1, 1e-6).allow)


def await_allow() -> Statement:
    """Take one token, async."""
    return statement("await allow(key)", allow=AsyncTokenBucket(PLENTY, FAST).allow)


def await_acquire() -> Statement:
    """Wait for a token that is there."""
    return statement("await acquire(key)", acquire=AsyncTokenBucket(PLENTY, FAST).acquire)


# Batches of 1,000 keys.


def batches(text: str, limiter: TokenBucket | AsyncTokenBucket, count: int) -> Statement:
    """Return a loop over lists of keys; `take` is the limiter's `allow`, `many` its batch."""
    known = known_keys(count)
    lists = [known[start : start + 1_000] for start in range(0, count, 1_000)]
    names = {"take": limiter.allow, "many": limiter.allow_many}
    return Statement(text, names, each=lists, decisions=1_000)


def allow_many(count: int) -> Statement:
    """Decide about a list in one call."""
    return batches("many(key)", limiter(), count)


def allow_list(count: int) -> Statement:
    """Decide about a list, making the list of answers oneself."""
    return batches("[take(one) for one in key]", limiter(), count)


def allow_loop(count: int) -> Statement:
    """Decide about a list, throwing the answers away."""
    return batches("for one in key:\n    take(one)", limiter(), count)


def await_allow_many(count: int) -> Statement:
    """Decide about a list in one call, async."""
    return batches("await many(key)", AsyncTokenBucket(PLENTY, FAST), count)


def await_allow_list(count: int) -> Statement:
    """Decide about a list, async, making the list of answers oneself."""
    return batches("[await take(one) for one in key]", AsyncTokenBucket(PLENTY, FAST), count)


# A full store, to which each call brings a new key.


def flood(cap: int | None, live: bool) -> Statement:
    """Take one token for a new key; the buckets there are still in use, or full again."""
    store = TokenBucket(10, 1e-6 if live else FAST, max_buckets=cap)
    for number in range(cap or 0):
        store.allow(f"old:{number}")
    return statement("allow(key)", allow=store.allow)


# Pipelines.


def run() -> Statement:
    """Run a call through limiter, retry and breaker."""
    executor = ResilientExecutor(limiter(), RetryPolicy(), CircuitBreaker())
    return statement("run(key, call)", run=executor.run, call=call)


def await_run() -> Statement:
    """Run a coroutine function through limiter, retry and breaker."""
    bucket = AsyncTokenBucket(PLENTY, FAST)
    executor = AsyncResilientExecutor(bucket, RetryPolicy(), CircuitBreaker())
    return statement("await run(key, call)", run=executor.run, call=awaited)


def retry() -> Statement:
    """Run a call through a retry policy alone."""
    executor = ResilientExecutor(retry_policy=RetryPolicy())
    return statement("run(key, call)", run=executor.run, call=call)


def await_retry() -> Statement:
    """Run a coroutine function through a retry policy alone."""
    executor = AsyncResilientExecutor(retry_policy=RetryPolicy())
    return statement("await run(key, call)", run=executor.run, call=awaited)


# Breakers, closed and open.


def breaker_run() -> Statement:
    """Run a call through an executor that has a breaker alone."""
    executor = ResilientExecutor(circuit_breaker=CircuitBreaker())
    return statement("run(key, call)", run=executor.run, call=call)


def breaker_call() -> Statement:
    """Call through a breaker."""
    return statement("through(call)", through=CircuitBreaker().call, call=call)


def await_breaker_run() -> Statement:
    """Run a coroutine function through an executor that has a breaker alone."""
    executor = AsyncResilientExecutor(circuit_breaker=CircuitBreaker())
    return statement("await run(key, call)", run=executor.run, call=awaited)


def await_breaker_call() -> Statement:
    """Call a coroutine function through a breaker."""
    return statement("await through(call)", through=CircuitBreaker().call_async, call=awaited)


def caught(text: str, **names: object) -> Statement:
    """Return a statement whose refusal is caught."""
    text = f"try:\n    {text}\nexcept Refused:\n    pass"
    return statement(text, Refused=CircuitBreakerOpen, **names)


def open_run() -> Statement:
    """Be refused by an executor whose breaker is open."""
    executor = ResilientExecutor(limiter(), RetryPolicy(), opened())
    return caught("run(key, call)", run=executor.run, call=call)


def open_call() -> Statement:
    """Be refused by an open breaker."""
    return caught("through(call)", through=opened().call, call=call)


def await_open_run() -> Statement:
    """Be refused by an async executor whose breaker is open."""
    executor = AsyncResilientExecutor(AsyncTokenBucket(PLENTY, FAST), RetryPolicy(), opened())
    return caught("await run(key, call)", run=executor.run, call=awaited)


def await_open_call() -> Statement:
    """Be refused by an open breaker, async."""
    return caught("await through(call)", through=opened().call_async, call=awaited)


# Waits.


def wait(rate: float) -> Callable[[], object]:
    """Return what blocks until it is one's turn."""
    return TokenBucket(1, rate).acquire


def await_wait(rate: float) -> Callable[[], Coroutine[Any, Any, object]]:
    """Return what waits until it is one's turn."""
    return AsyncTokenBucket(1, rate).acquire
