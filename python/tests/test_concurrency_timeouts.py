"""How long a task waits for a permit: by any clock, exactly, and nothing is left of it."""

from __future__ import annotations

import asyncio

import pytest

from concurrency_crews import line
from driving import settle
from helpers import HandClock
from limitpal import RateLimitExceeded


async def test_a_refused_timeout_is_exact(still):
    """Not a nanosecond before, and at it; a permit that comes in that moment is taken."""
    limiter, crew = await line(names="", clock=still)
    for name in "ab":
        await crew.join(name, timeout=2.0)

    still.advance(1.999_999_999)
    await settle()
    assert await limiter.waiting("k") == 2
    still.advance(0.000_000_001)
    crew.permits.pop("holder").release()
    await settle()

    assert crew.order == ["holder", "a"]
    with pytest.raises(RateLimitExceeded) as refusal:
        await crew.tasks["b"]
    assert refusal.value.retry_after is None
    await crew.finish()


async def test_a_timeout_that_is_not_needed_leaves_no_timer(clock):
    """Neither after the permit nor after a cancellation; time has not moved."""
    _, crew = await line(names="", clock=clock)
    for name in "ab":
        await crew.join(name, timeout=1000.0)
        crew.tasks["a"].cancel() if name == "b" else None
    await settle()
    crew.permits.pop("holder").release()
    await settle()

    assert clock._sleepers == {}
    assert crew.order == ["holder", "b"]
    await crew.finish()


async def test_a_real_timeout_ends_a_real_wait():
    """On the monotonic clock."""
    limiter, crew = await line(names="")

    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("k", timeout=0.01)

    await crew.finish()


async def test_a_timeout_by_a_clock_of_the_users():
    """It can only sleep; an earlier permit does not wait for that, and no task is left."""

    class Own(HandClock):
        async def sleep_async(self, seconds):
            self.slept.append(seconds)
            await asyncio.sleep(0 if seconds < 100 else 1000)
            self.time += seconds

    clock = Own()
    limiter, crew = await line(names="", clock=clock)

    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("k", timeout=5.0)
    await crew.join("a", timeout=500.0)
    await crew.release("holder")

    assert (clock.slept, crew.order) == ([5.0, 500.0], ["holder", "a"])
    await crew.finish()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_error_of_the_users_clock_comes_out_and_leaves_no_place():
    """Unchanged."""
    error = OSError("clock unplugged")

    class Broken(HandClock):
        async def sleep_async(self, seconds):
            raise error

    limiter, crew = await line(names="", clock=Broken())

    with pytest.raises(OSError, match="unplugged") as raised:
        await limiter.acquire("k", timeout=5.0)

    assert raised.value is error
    assert await limiter.waiting("k") == 0
    await crew.finish()
