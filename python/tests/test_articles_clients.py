"""The articles' HTTP clients, against a local application that stands in for the API."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    MockClock,
    RateLimitExceeded,
    RetryExhausted,
    RetryPolicy,
)


class Provider:
    """An ASGI application: answers as scripted, 200 afterwards, and remembers who asked when."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str]] = []
        self.script: list[int | Exception] = []
        self.down = False

    async def __call__(self, scope, receive, send) -> None:
        self.asked.append((self.clock.now(), scope["path"]))
        answer = 503 if self.down else self.script.pop(0) if self.script else 200
        if isinstance(answer, Exception):
            raise answer
        body = json.dumps({"path": scope["path"]}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": answer, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
def api(clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Send what goes to https://api.example.com to a local application."""
    provider, real = Provider(clock), httpx.AsyncClient

    def client(**given) -> httpx.AsyncClient:
        return real(transport=httpx.ASGITransport(app=provider), **given)

    monkeypatch.setattr(httpx, "AsyncClient", client)
    return provider


async def test_the_client_that_lasted_five_minutes(api: Provider):
    """Both articles, the first program: fine until the provider is not."""

    async def fetch_user(user_id: str):
        async with httpx.AsyncClient() as client:
            response = await client.get(f"https://api.example.com/users/{user_id}")
            return response.json()

    assert await fetch_user("7") == {"path": "/users/7"}
    api.script = [httpx.ReadTimeout("slow")]
    with pytest.raises(httpx.ReadTimeout):
        await fetch_user("7")


async def test_a_resilient_client_in_ten_lines(api: Provider, clock: MockClock):
    """English, "Real example", corrected: `httpx.get` is a plain function.

    As printed, `await httpx.get(…)` raises TypeError, since a Response cannot be awaited.
    """
    executor = AsyncResilientExecutor(
        limiter=AsyncTokenBucket(capacity=10, refill_rate=100 / 60, clock=clock),
        retry_policy=RetryPolicy(max_attempts=3, base_delay=0.5),
        circuit_breaker=CircuitBreaker(failure_threshold=5, clock=clock),
    )

    async def fetch():
        async with httpx.AsyncClient() as client:
            return await client.get("https://api.example.com")

    api.script = [httpx.ConnectError("down"), httpx.ReadTimeout("slow")]
    result = await executor.run("api", fetch)

    assert result.status_code == 200
    assert [at for at, _ in api.asked] == [0.0, 0.5, 1.5]  # exponential retry


async def test_one_library_for_everything(api: Provider, clock: MockClock):
    """Russian, "The solution": configured once, used as `fetch_user(…)`."""
    limiter = AsyncTokenBucket(capacity=10, refill_rate=100 / 60, clock=clock)
    retry = RetryPolicy(max_attempts=3, base_delay=0.5, backoff=2.0)
    breaker = CircuitBreaker(failure_threshold=5, recovery_timeout=30.0, clock=clock)
    executor = AsyncResilientExecutor(limiter=limiter, retry_policy=retry, circuit_breaker=breaker)

    async def fetch_user(user_id: str):
        async def _call():
            async with httpx.AsyncClient() as client:
                response = await client.get(f"https://api.example.com/users/{user_id}")
                response.raise_for_status()
                return response.json()

        return await executor.run(f"user:{user_id}", _call)

    api.script = [503, 429]
    assert await fetch_user("7") == {"path": "/users/7"}
    assert [at for at, _ in api.asked] == [0.0, 0.5, 1.5]
    assert await limiter.get_tokens("user:7") == 10.0  # one permit, refilled meanwhile


def orders_client(clock: MockClock, **changed):
    """Build the Russian article's example 1; return its function and its parts."""
    given = {"capacity": 10, "refill_rate": 100 / 60, "key": "user:{}", **changed}
    limiter = AsyncTokenBucket(given["capacity"], given["refill_rate"], clock=clock)
    retry = RetryPolicy(
        max_attempts=3,
        base_delay=0.5,
        backoff=2.0,
        jitter=0.1,
        retry_on=(httpx.TimeoutException, httpx.HTTPStatusError),
    )
    breaker = CircuitBreaker(
        failure_threshold=5, recovery_timeout=30.0, half_open_success_threshold=2, clock=clock
    )
    executor = AsyncResilientExecutor(limiter=limiter, retry_policy=retry, circuit_breaker=breaker)

    async def fetch_user_orders(user_id: str):
        async def _fetch():
            async with httpx.AsyncClient() as client:
                response = await client.get(f"https://api.example.com/users/{user_id}/orders")
                response.raise_for_status()
                return response.json()

        return await executor.run(given["key"].format(user_id), _fetch)

    return fetch_user_orders, limiter, breaker


async def test_orders_are_fetched_through_temporary_failures(api: Provider, clock: MockClock):
    """Russian, example 1: 503 and a timeout are retried with backoff and jitter."""
    fetch_user_orders, _, breaker = orders_client(clock)
    api.script = [503, httpx.ReadTimeout("slow")]

    orders = await fetch_user_orders("12345")

    first, second, third = [at for at, _ in api.asked]
    assert orders == {"path": "/users/12345/orders"}
    assert 0.45 <= second - first <= 0.55
    assert 0.9 <= third - second <= 1.1
    assert breaker.state == "closed"


async def test_an_error_that_is_not_named_is_not_retried(api: Provider, clock: MockClock):
    """Russian, example 1: `retry_on` names timeouts and HTTP errors; others come out."""
    fetch_user_orders, _, _ = orders_client(clock)
    api.script = [httpx.ConnectError("no route")]

    with pytest.raises(httpx.ConnectError):
        await fetch_user_orders("12345")

    assert len(api.asked) == 1


async def test_five_failures_in_a_row_open_the_circuit(api: Provider, clock: MockClock):
    """Russian, example 1: open after five failed runs, tried after 30 s, closed after two."""
    fetch_user_orders, limiter, breaker = orders_client(clock)
    api.down = True

    for n in range(5):
        with pytest.raises(RetryExhausted) as exhausted:
            await fetch_user_orders(str(n))
        assert isinstance(exhausted.value.last_error, httpx.HTTPStatusError)
    assert breaker.state == "open"
    assert len(api.asked) == 15
    with pytest.raises(CircuitBreakerOpen):
        await fetch_user_orders("6")
    assert len(api.asked) == 15
    assert "user:6" not in limiter or await limiter.get_tokens("user:6") == 10.0

    api.down = False
    clock.advance(30.0)
    assert breaker.state == "half_open"
    await fetch_user_orders("7")
    assert breaker.state == "half_open"
    await fetch_user_orders("8")
    assert breaker.state == "closed"


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(api: Provider, clock: MockClock):
    """Russian, example 1: a burst of ten, then one every 0.6 s."""
    fetch_user_orders, _, _ = orders_client(clock)

    await asyncio.gather(*(fetch_user_orders("12345") for _ in range(13)))

    assert [at for at, _ in api.asked] == [0.0] * 10 + [0.6, 1.2, 1.8]


async def first_minute(fetch, api: Provider, users: list[str], calls: int) -> int:
    """Send so many calls per user at once; count the requests of the first minute."""
    await asyncio.gather(*(fetch(user) for user in users for _ in range(calls)))
    return sum(at <= 60.0 for at, _ in api.asked)


async def test_as_printed_the_minute_holds_more_than_the_api_allows(
    api: Provider, clock: MockClock
):
    """Russian, example 1 as printed limits each user, not the API, and allows a burst on top.

    The key `user:{id}` gives every user 100 per minute, and ten more in the first.
    """
    fetch_user_orders, _, _ = orders_client(clock)

    assert await first_minute(fetch_user_orders, api, ["1", "2"], 130) == 220


async def test_corrected_the_minute_holds_a_hundred(api: Provider, clock: MockClock):
    """Russian, example 1 corrected: one key for the API, and burst plus rate make 100."""
    fetch_user_orders, _, _ = orders_client(clock, key="api", refill_rate=90 / 60)

    assert await first_minute(fetch_user_orders, api, ["1", "2"], 65) == 100


async def test_the_limiter_may_refuse_instead_of_waiting(api: Provider, clock: MockClock):
    """Russian, the diagram's step 2: "wait for quota (acquire) or refuse"."""
    limiter = AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock)
    executor = AsyncResilientExecutor(limiter=limiter, acquire_timeout=0)

    async def fetch():
        async with httpx.AsyncClient() as client:
            return (await client.get("https://api.example.com/users/7")).json()

    assert await executor.run("api", fetch)
    with pytest.raises(RateLimitExceeded) as refusal:
        await executor.run("api", fetch)

    assert refusal.value.retry_after == 1.0
    assert len(api.asked) == 1
