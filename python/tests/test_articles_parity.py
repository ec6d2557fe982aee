"""The articles on putting parts together: each optional, sync and async alike."""

from __future__ import annotations

from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)


async def test_every_part_is_optional():
    """Russian, "Optional combination": one part, all parts, several limiters, or none."""

    async def work():
        return "done"

    retry = RetryPolicy(max_attempts=3)
    limiter = AsyncTokenBucket(capacity=10, refill_rate=5)
    composite = AsyncCompositeLimiter(
        [AsyncTokenBucket(capacity=10, refill_rate=5), AsyncLeakyBucket(capacity=20, leak_rate=10)]
    )

    for executor in (
        AsyncResilientExecutor(limiter=None, retry_policy=retry, circuit_breaker=None),
        AsyncResilientExecutor(
            limiter=limiter, retry_policy=retry, circuit_breaker=CircuitBreaker()
        ),
        AsyncResilientExecutor(limiter=composite),
        AsyncResilientExecutor(circuit_breaker=CircuitBreaker()),
        AsyncResilientExecutor(),
    ):
        assert await executor.run("key", work) == "done"


async def test_async_is_the_same_word_with_async_before_it():
    """Russian, "Sync/Async parity": both programs as printed."""

    def sync_callable():
        return "sync"

    async def async_callable():
        return "async"

    executor = ResilientExecutor(limiter=TokenBucket(capacity=10, refill_rate=5))
    assert executor.run("key", sync_callable) == "sync"

    executor = AsyncResilientExecutor(limiter=AsyncTokenBucket(capacity=10, refill_rate=5))
    assert await executor.run("key", async_callable) == "async"
