"""The two clients: the one that everybody writes first, and the same one inside an executor."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from typing import Any, Protocol

import httpx

from demo.meter import Meter, MeteredTransport
from demo.plan import Plan
from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CircuitBreakerOpen,
    RetryExhausted,
    RetryPolicy,
)

API = "provider"
"""The limiter's key. The quota is the provider's, so every job shares it, whoever the user is."""


class TooManyRequestsError(Exception):
    """The provider answered 429: the request was fine, there were too many of them."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"429, come back in {retry_after:g}s")
        self.retry_after = retry_after


async def fetch(http: httpx.AsyncClient, number: int) -> Any:
    """One request. This function is the same for both clients."""
    response = await http.get(f"/orders/{number}")
    if response.status_code == 429:
        raise TooManyRequestsError(float(response.headers["retry-after"]))
    response.raise_for_status()
    return response.json()


class Client(Protocol):
    """Somebody who gets jobs done."""

    name: str

    async def job(self, http: httpx.AsyncClient, number: int) -> Any:
        """Does one job, or raises."""

    def look(self) -> None:
        """Lets the meter look at what changes by time alone."""


class NaiveClient:
    """Tries again at once when something fails."""

    name = "naive"

    def __init__(self, meter: Meter) -> None:
        self._tries = meter.plan.tries

    async def job(self, http: httpx.AsyncClient, number: int) -> Any:
        """Does one job in a few tries, one right after the other."""
        for _ in range(self._tries - 1):
            with contextlib.suppress(TooManyRequestsError, httpx.HTTPError):
                return await fetch(http, number)
        return await fetch(http, number)

    def look(self) -> None:
        """Has nothing that changes by time alone."""


class ResilientClient:
    """The same `fetch` inside an executor that counts every attempt."""

    name = "limitpal"

    def __init__(self, meter: Meter) -> None:
        plan = meter.plan
        self._meter = meter
        self._random = random.Random(plan.seed)
        self._breaker = CircuitBreaker(
            failure_threshold=5,
            recovery_timeout=plan.recovery_timeout,
            ignore=(TooManyRequestsError,),
        )
        self._executor = AsyncResilientExecutor(
            limiter=AsyncTokenBucket(capacity=plan.burst, refill_rate=plan.refill_rate),
            retry_policy=RetryPolicy(
                max_attempts=plan.tries,
                base_delay=0.2,
                max_delay=2.0,
                jitter=0.2,
                retry_on=(TooManyRequestsError, httpx.HTTPError),
                seed=plan.seed,
            ),
            circuit_breaker=self._breaker,
            charge="attempt",
        )
        self.look()

    async def job(self, http: httpx.AsyncClient, number: int) -> Any:
        """Runs one job; while the circuit is open the job stays on our side and comes again."""
        deadline = time.monotonic() + self._meter.plan.patience
        while True:
            try:
                return await self._run(http, number)
            except (CircuitBreakerOpen, RetryExhausted) as refusal:
                wait = self._come_again_in(refusal)
                if wait is None or time.monotonic() + wait > deadline:
                    raise
            finally:
                self.look()
            self._meter.turned_away += 1
            await asyncio.sleep(wait)

    def look(self) -> None:
        """Lets the meter see the breaker, which becomes half-open by time alone."""
        self._meter.look(self._breaker)

    async def _run(self, http: httpx.AsyncClient, number: int) -> Any:
        begun = time.monotonic()
        first = True

        async def attempt() -> Any:
            nonlocal first
            self.look()
            if first:
                # All that comes before the first attempt is the wait for quota.
                first = False
                self._meter.waits.append(time.monotonic() - begun)
            return await fetch(http, number)

        return await self._executor.run(API, attempt)

    def _come_again_in(self, refusal: CircuitBreakerOpen | RetryExhausted) -> float | None:
        """Returns when to bring the job again, a little spread; None if it has had its attempts."""
        spread = self._random.uniform(0.05, 0.25)
        if isinstance(refusal, CircuitBreakerOpen):
            return (refusal.retry_after or 0.0) + spread
        if refusal.reason == "circuit_open":
            return spread
        return None


async def take_turn(client: Client, meter: Meter, url: str) -> None:
    """Lets one client do all the jobs of the plan, each when it comes up."""
    plan: Plan = meter.plan

    async def do(http: httpx.AsyncClient, number: int) -> None:
        await asyncio.sleep(meter.started + plan.arrival(number) - time.monotonic())
        try:
            await client.job(http, number)
        except (TooManyRequestsError, httpx.HTTPError, CircuitBreakerOpen, RetryExhausted):
            meter.failed += 1
        else:
            meter.done += 1

    transport = MeteredTransport(meter)
    async with httpx.AsyncClient(base_url=url, transport=transport, timeout=10.0) as http:
        await asyncio.gather(*(do(http, number) for number in range(plan.requests)))
    meter.finish()
