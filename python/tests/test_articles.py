"""The programs printed in the two articles, with the meaning their text claims.

Here are those that need no server; test_articles_clients.py has the HTTP clients and
test_articles_services.py the services and jobs. The towers of decorators are left out: they are
other libraries' programs, printed to be replaced. Where a program cannot do what its text says,
it stands here corrected, and its docstring says why.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    Clock,
    MockClock,
    MonotonicClock,
    RetryExhausted,
    RetryPolicy,
    TokenBucket,
)


async def test_one_executor_instead_of_a_tower_of_decorators():
    """English, "The idea": limiter, retry and breaker in one pipeline, on the real clock."""

    async def api_call():
        return {"id": 123}

    executor = AsyncResilientExecutor(
        limiter=AsyncTokenBucket(capacity=10, refill_rate=100 / 60),
        retry_policy=RetryPolicy(max_attempts=3),
        circuit_breaker=CircuitBreaker(failure_threshold=5),
    )

    result = await executor.run("user:123", api_call)

    assert result == {"id": 123}


def test_advancing_the_clock_replaces_sleeping():
    """English, "The testing problem": `clock.advance(1.0)` is instant and exact."""
    clock = MockClock()
    limiter = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    begin = time.monotonic()

    admitted = 0
    for _ in range(3600):
        admitted += limiter.allow("test")
        clock.advance(1.0)

    assert admitted == 3600
    assert time.monotonic() - begin < 1.0


async def test_sync_and_async_have_the_same_api():
    """Russian, "Key features": the same arguments and calls, with await or without."""
    sync_limiter = TokenBucket(capacity=10, refill_rate=5)
    async_limiter = AsyncTokenBucket(capacity=10, refill_rate=5)

    assert sync_limiter.allow("user:123")
    assert sync_limiter.allow("ip:192.168.1.1")
    assert await async_limiter.allow("user:123")
    assert await async_limiter.allow("ip:192.168.1.1")
    assert "user:123" in sync_limiter
    assert len(async_limiter) == 2


async def test_strategies_compose():
    """Russian, "Key features": a user's bucket and a smooth one, as one limiter."""
    per_user = AsyncTokenBucket(capacity=10, refill_rate=5)
    global_smooth = AsyncLeakyBucket(capacity=50, leak_rate=20)
    limiter = AsyncCompositeLimiter([per_user, global_smooth])

    answers = [await limiter.allow("user:123") for _ in range(11)]

    assert answers == [True] * 10 + [False]


def test_mock_clock_makes_tests_deterministic():
    """Russian, "Key features": half a second refills one token at two per second."""
    clock = MockClock(start_time=0.0)
    limiter = TokenBucket(capacity=1, refill_rate=2.0, clock=clock)

    assert limiter.allow("test") is True
    clock.advance(0.5)
    assert limiter.allow("test") is True


async def test_one_clock_controls_limiter_and_executor():
    """Russian, "time in tests": one mock clock, no patching of three libraries."""
    clock = MockClock(start_time=0.0)
    executor = AsyncResilientExecutor(
        limiter=AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock),
        retry_policy=RetryPolicy(max_attempts=3),
        clock=clock,
    )

    async def call():
        return clock.now()

    assert await executor.run("key", call) == 0.0
    clock.advance(1.0)
    assert await executor.run("key", call) == 1.0
    assert await executor.run("key", call) == 2.0  # waited for its token, on the mock clock


def test_the_circuit_breakers_walk():
    """Russian, "Circuit Breaker Pattern": closed, open, half open, closed.

    The clock is a mock, so the ten seconds pass at once; the `return` stands in a function.
    """
    clock = MockClock()
    breaker = CircuitBreaker(
        failure_threshold=3,
        recovery_timeout=10.0,
        half_open_success_threshold=2,
        clock=clock,
    )
    reached = []

    def ask():
        try:
            return breaker.call(lambda: reached.append("external api"))
        except CircuitBreakerOpen:
            return "Service temporarily unavailable"

    breaker.record_success()
    breaker.record_success()
    assert breaker.state == "closed"
    breaker.record_failure()
    breaker.record_failure()
    assert breaker.state == "closed"
    breaker.record_failure()
    assert breaker.state == "open"

    assert ask() == "Service temporarily unavailable"
    assert reached == []

    clock.advance(10)
    assert breaker.state == "half_open"
    breaker.record_success()
    assert breaker.state == "half_open"
    breaker.record_success()
    assert breaker.state == "closed"
    assert ask() is None
    assert reached == ["external api"]


async def test_retries_are_spaced_as_the_comments_say():
    """Russian, "Retry Policy": at once, after 0.5 s and after 1.0 s, each give or take 10 %."""
    retry = RetryPolicy(
        max_attempts=3,
        base_delay=0.5,
        max_delay=10.0,
        backoff=2.0,
        jitter=0.1,
        retry_on=(TimeoutError, ConnectionError),
    )
    clock = MockClock()
    attempts = []

    async def fails():
        attempts.append(clock.now())
        raise ConnectionError("refused")

    with pytest.raises(RetryExhausted) as exhausted:
        await AsyncResilientExecutor(retry_policy=retry, clock=clock).run("key", fails)

    first, second, third = attempts
    assert first == 0.0
    assert 0.45 <= second - first <= 0.55
    assert 0.9 <= third - second <= 1.1
    assert isinstance(exhausted.value.last_error, ConnectionError)


async def test_only_the_named_errors_are_retried():
    """Russian, "Retry Policy": "only these errors"; any other comes out after one attempt."""
    retry = RetryPolicy(max_attempts=3, base_delay=0.5, retry_on=(TimeoutError, ConnectionError))
    attempts = []

    async def fails():
        attempts.append(1)
        raise KeyError("not one of these")

    with pytest.raises(KeyError):
        await AsyncResilientExecutor(retry_policy=retry, clock=MockClock()).run("key", fails)

    assert attempts == [1]


def test_jitter_spreads_a_thousand_clients():
    """Russian, "Why jitter?": a thousand clients that failed together do not return together."""
    delays = {RetryPolicy(base_delay=1.0, jitter=0.1).next_delay(1) for _ in range(1000)}

    assert len(delays) > 900
    assert min(delays) >= 0.9
    assert max(delays) <= 1.1
    assert max(delays) - min(delays) > 0.15


@pytest.mark.parametrize("seed", range(12))
async def test_the_executor_survives_an_unstable_api(seed):
    """Russian, "ResilientExecutor": 70 % timeouts; it succeeds or says that it gave up."""
    clock, chance = MockClock(), random.Random(seed)
    limiter = AsyncTokenBucket(capacity=5, refill_rate=2, clock=clock)
    retry = RetryPolicy(max_attempts=3, base_delay=1.0, backoff=2.0)
    breaker = CircuitBreaker(failure_threshold=3, recovery_timeout=10.0, clock=clock)
    executor = AsyncResilientExecutor(limiter=limiter, retry_policy=retry, circuit_breaker=breaker)
    rolls = []

    async def problematic_api():
        rolls.append(chance.random())
        if rolls[-1] < 0.7:
            raise TimeoutError("API timeout")
        return "success"

    try:
        result = await executor.run("api_key", problematic_api)
    except RetryExhausted as exhausted:
        assert min(len(rolls), 3) == exhausted.attempts == 3
        assert clock.now() == 3.0
    else:
        assert result == "success"
        assert rolls[-1] >= 0.7
    assert all(roll < 0.7 for roll in rolls[:-1])
    assert await limiter.get_tokens("api_key") <= 5.0


async def test_the_steps_come_in_the_order_drawn():
    """Russian, the diagram: breaker, limiter, execute and retry, record."""
    clock = MockClock()
    limiter = AsyncTokenBucket(capacity=2, refill_rate=0.001, clock=clock)
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5.0, clock=clock)
    executor = AsyncResilientExecutor(
        limiter=limiter,
        retry_policy=RetryPolicy(max_attempts=2, base_delay=0.1),
        circuit_breaker=breaker,
    )
    attempts = []

    async def fails():
        attempts.append(breaker.state)
        raise TimeoutError

    with pytest.raises(RetryExhausted):
        await executor.run("api", fails)
    with pytest.raises(CircuitBreakerOpen):
        await executor.run("api", fails)

    assert attempts == ["closed", "closed"]  # the result is recorded once, at the end
    assert await limiter.get_tokens("api") == pytest.approx(1.0, abs=0.01)  # one run, one permit


def test_the_slow_test_of_a_limiter():
    """Russian, "Testing", the bad way: a real second. It holds, it is only slow."""
    limiter = TokenBucket(capacity=1, refill_rate=1)
    assert limiter.allow("test") is True
    assert limiter.allow("test") is False
    time.sleep(1)
    assert limiter.allow("test") is True


def test_the_quick_test_of_a_limiter():
    """Russian, "Testing", the good way: the same behaviour at once."""
    clock = MockClock(start_time=0.0)
    limiter = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    assert limiter.allow("test") is True
    assert limiter.allow("test") is False
    clock.advance(1.0)
    assert limiter.allow("test") is True


async def test_resilient_executor_with_retry():
    """Russian, "Testing ResilientExecutor", as printed: one `sleep(0)` after each advance."""
    clock = MockClock(start_time=0.0)
    retry = RetryPolicy(max_attempts=3, base_delay=1.0, backoff=2.0)
    executor = AsyncResilientExecutor(retry_policy=retry, clock=clock)
    call_count = 0

    async def flaky_function():
        nonlocal call_count
        call_count += 1
        if call_count < 3:
            raise TimeoutError("Temporary failure")
        return "success"

    task = asyncio.create_task(executor.run("test", flaky_function))
    await asyncio.sleep(0)
    assert call_count == 1
    clock.advance(1.0)
    await asyncio.sleep(0)
    assert call_count == 2
    clock.advance(2.0)
    await asyncio.sleep(0)
    assert call_count == 3
    result = await task
    assert result == "success"


async def test_a_clock_of_ones_own_is_three_methods():
    """Russian, "One abstraction of time": any object with these methods times all the parts."""

    class Fast:
        seconds = 0.0

        def now(self) -> float:
            return self.seconds

        def sleep(self, seconds: float) -> None:
            self.seconds += seconds

        async def sleep_async(self, seconds: float) -> None:
            self.seconds += seconds

    clock = Fast()
    limiter = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    executor = AsyncResilientExecutor(
        limiter=AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock), clock=clock
    )

    async def now():
        return clock.now()

    limiter.acquire("k")
    limiter.acquire("k")
    assert clock.now() == 1.0
    assert [await executor.run("k", now) for _ in range(3)] == [1.0, 2.0, 3.0]
    for one in (clock, MonotonicClock(), MockClock()):
        assert isinstance(one, Clock)


def test_keys_are_isolated_along_any_dimension():
    """Russian, "Key-based isolation": users, addresses, tenants and endpoints."""
    limiter = TokenBucket(capacity=10, refill_rate=5, clock=MockClock())
    keys = ["user:123", "user:456", "ip:10.0.0.1", "tenant:7", "endpoint:/api/users"]

    assert limiter.allow("user:123", cost=10)

    assert [limiter.allow(key) for key in keys] == [False, True, True, True, True]
    assert len(limiter) == 5


def test_memory_is_managed_by_itself():
    """Russian, "Key-based isolation": five minutes of rest, ten thousand buckets at most."""
    clock = MockClock()
    limiter = TokenBucket(capacity=10, refill_rate=5, clock=clock, ttl=300.0, max_buckets=10_000)
    for n in range(25_000):
        limiter.allow(f"user:{n}")
    assert len(limiter) == 10_000

    clock.advance(301.0)
    for _ in range(25_000):
        limiter.allow("somebody")
    assert len(limiter) < 1000
