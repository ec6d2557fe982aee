"""The articles' services and jobs: layers of limits, a smooth queue, FastAPI."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncTokenBucket,
    LeakyBucket,
    MockClock,
    RateLimitExceeded,
)


@dataclass
class Job:
    """One job of a queue."""

    id: int


@dataclass
class User:
    """Who is logged in."""

    id: str


def two_levels(clock: MockClock):
    """Build the Russian article's example 2, corrected."""
    per_user = AsyncTokenBucket(capacity=10, refill_rate=5, clock=clock)
    global_limiter = AsyncLeakyBucket(capacity=100, leak_rate=100, clock=clock, per_key=False)
    limiter = AsyncCompositeLimiter([per_user, global_limiter])

    async def handle_request(user_id: str):
        if await limiter.allow(f"user:{user_id}"):
            return {"user": user_id}
        return {"error": "Rate limit exceeded"}, 429

    return handle_request


REFUSED = ({"error": "Rate limit exceeded"}, 429)


async def test_one_user_meets_the_users_limit(clock: MockClock):
    """Russian, example 2: a burst of ten, then five per second."""
    handle_request = two_levels(clock)

    burst = [await handle_request("1") for _ in range(11)]
    clock.advance(1.0)
    later = [await handle_request("1") for _ in range(6)]

    assert burst == [{"user": "1"}] * 10 + [REFUSED]
    assert later == [{"user": "1"}] * 5 + [REFUSED]


async def test_many_users_meet_the_global_limit(clock: MockClock):
    """Russian, example 2, corrected: the global part needs `per_key=False`.

    As printed the composite hands it the user's key, so "global" limits each user by itself.
    """
    handle_request = two_levels(clock)

    first = [await handle_request(str(n)) for n in range(130)]
    clock.advance(0.1)
    second = [await handle_request(str(n)) for n in range(200, 230)]

    assert first.count(REFUSED) == 30
    assert second.count(REFUSED) == 20


async def test_a_user_refused_globally_keeps_its_own_quota(clock: MockClock):
    """Russian, "both must allow": a refusal by one takes nothing from the other."""
    handle_request = two_levels(clock)
    for n in range(100):
        await handle_request(str(n))

    for _ in range(20):
        assert await handle_request("late") == REFUSED
    clock.advance(1.0)

    assert [await handle_request("late") for _ in range(10)] == [{"user": "late"}] * 10


async def test_jobs_run_at_exactly_ten_per_second(clock: MockClock):
    """Russian, example 3, corrected: the async limiter, and one key for all jobs.

    As printed it awaits the sync limiter's `acquire`, which returns None, and its key
    `job:{id}` gives every job a bucket of its own, which limits nothing.
    """
    job_limiter = AsyncLeakyBucket(capacity=20, leak_rate=10, clock=clock)
    done = []

    async def process_job(job: Job):
        done.append(clock.now())

    async def process_jobs(jobs):
        for job in jobs:
            await job_limiter.acquire("jobs", timeout=60.0)
            await process_job(job)

    await process_jobs([Job(n) for n in range(40)])

    assert done == [n / 10 for n in range(40)]


def test_jobs_of_a_worker_without_asyncio(clock: MockClock):
    """Russian, example 3, the other way to correct it: the sync limiter without await."""
    job_limiter = LeakyBucket(capacity=20, leak_rate=10, clock=clock, per_key=False)
    done = []

    def process_jobs(jobs):
        for job in jobs:
            job_limiter.acquire(f"job:{job.id}", timeout=60.0)
            done.append(clock.now())

    process_jobs([Job(n) for n in range(40)])

    assert done == [n / 10 for n in range(40)]


async def test_jobs_that_would_wait_too_long_are_refused(clock: MockClock):
    """Russian, example 3: `timeout=60.0` bounds the wait of jobs that come all at once."""
    job_limiter = AsyncLeakyBucket(capacity=20, leak_rate=10, clock=clock)

    async def one():
        await job_limiter.acquire("jobs", timeout=60.0)
        return clock.now()

    ends = await asyncio.gather(*(one() for _ in range(605)), return_exceptions=True)

    assert ends[:601] == [n / 10 for n in range(601)]
    assert all(isinstance(end, RateLimitExceeded) for end in ends[601:])


def make_app(clock: MockClock) -> FastAPI:
    """Build the Russian article's example 4, corrected; a stub logs everybody in."""
    app = FastAPI()
    limiter = AsyncTokenBucket(capacity=100, refill_rate=10, clock=clock)

    @app.middleware("http")
    async def rate_limit_middleware(request: Request, call_next):
        key = f"ip:{request.client.host}"
        if not await limiter.allow(key):
            return JSONResponse(status_code=429, content={"detail": "Too many requests"})
        return await call_next(request)

    @app.middleware("http")
    async def log_in(request: Request, call_next):
        request.scope["user"] = User(request.headers.get("x-user", "nobody"))
        return await call_next(request)

    @app.get("/")
    async def index():
        return {"hello": "world"}

    @app.post("/api/expensive-operation")
    async def expensive_operation(request: Request):
        try:
            await limiter.acquire(f"user:{request.user.id}", timeout=5.0)
        except RateLimitExceeded as e:
            raise HTTPException(status_code=429, detail=f"Retry after {e.retry_after:.1f}s") from e
        return {"user": request.user.id}

    return app


def client_of(app: FastAPI, host: str = "10.0.0.1") -> httpx.AsyncClient:
    """Talk to the application from an address."""
    transport = httpx.ASGITransport(app=app, client=(host, 5000))
    return httpx.AsyncClient(transport=transport, base_url="http://service")


async def test_each_address_gets_its_share_and_then_429(clock: MockClock):
    """Russian, example 4, corrected: the middleware returns a response.

    As printed it raises HTTPException in an `http` middleware, outside the handlers that would
    make it a response, so the client gets 500.
    """
    app = make_app(clock)

    async with client_of(app) as mine, client_of(app, "10.0.0.2") as yours:
        statuses = [(await mine.get("/")).status_code for _ in range(102)]
        other = await yours.get("/")
        clock.advance(0.1)
        again = [(await mine.get("/")).status_code for _ in range(2)]
        refused = await mine.get("/")

    assert statuses == [200] * 100 + [429] * 2
    assert other.status_code == 200
    assert again == [200, 429]
    assert refused.json() == {"detail": "Too many requests"}


async def test_an_expensive_endpoint_waits_five_seconds_at_most(clock: MockClock):
    """Russian, example 4: waits within the timeout, then says when to come back."""
    app = make_app(clock)
    headers = {"x-user": "7"}

    async def ask(host: str) -> httpx.Response:
        async with client_of(app, host) as client:
            return await client.post("/api/expensive-operation", headers=headers)

    answers = await asyncio.gather(*(ask(f"10.0.0.{n % 3}") for n in range(160)))

    served = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(served) == 150  # the burst, and five seconds of ten
    assert served[0].json() == {"user": "7"}
    assert len(refused) == 10
    assert {answer.json()["detail"] for answer in refused} == {"Retry after 5.1s"}


@pytest.mark.parametrize("user", ["7", "8"])
async def test_each_user_has_a_bucket_of_its_own(clock: MockClock, user):
    """Russian, example 4: `user:{id}` keys do not disturb each other."""
    app = make_app(clock)

    async with client_of(app) as client:
        for _ in range(3):
            answer = await client.post("/api/expensive-operation", headers={"x-user": user})
            assert answer.json() == {"user": user}

    assert clock.now() == 0.0
