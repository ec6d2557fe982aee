"""A store that is full, or was: no room for one more key, and nothing kept of those forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from driving import SYNC, Crew, Flavour, GateClock, Line, call, drain, settle
from limitpal import RateLimitExceeded

KINDS = ["token", "leaky"]
HASTE = 5.0  # real seconds in which an async refusal that comes at once has come


@contextlib.asynccontextmanager
async def full(flavour: Flavour, kind: str) -> AsyncIterator[Any]:
    """Offer a limiter of one bucket, "a", and let somebody wait for it: no other key has room."""
    clock = GateClock()
    limiter = flavour.bucket(kind, 1, 1, clock=clock, max_buckets=1)
    await drain(limiter, "a")
    crew, line = Crew(limiter, clock), Line(limiter, clock)
    if flavour is SYNC:
        crew.start("waiter", "a")
        clock.await_sleepers(1)
    else:
        await line.join("waiter", "a")
    try:
        yield limiter
    finally:
        clock.advance(1.0)
        await settle()
        crew.join()
    assert (crew.went or line.went) == [("waiter", 1_000_000_000)]


def alone_and_in_a_composite(flavour: Flavour, limiter: Any) -> list[Any]:
    """Return both ways to ask it."""
    return [limiter, flavour.CompositeLimiter([limiter])]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("asked", [{}, {"timeout": 0}, {"timeout": 60.0}], ids=repr)
async def test_with_every_bucket_awaited_an_acquire_is_refused_at_once(
    flavour: Flavour, kind, asked
):
    """Nobody can say when there will be room, so `retry_after` is None.

    The composite took the missing room for a race lost to another thread, and tried for ever.
    """
    async with full(flavour, kind) as limiter:
        for one in alone_and_in_a_composite(flavour, limiter):
            with pytest.raises(RateLimitExceeded) as refusal:
                await asyncio.wait_for(call(one.acquire, "b", **asked), HASTE)
            assert refusal.value.retry_after is None
        assert "b" not in limiter


@pytest.mark.parametrize("kind", KINDS)
async def test_with_every_bucket_awaited_peek_says_what_check_says(flavour: Flavour, kind):
    """Both refuse a newcomer with `retry_after` None; `peek` used to see a bucket as new."""
    async with full(flavour, kind) as limiter:
        for one in alone_and_in_a_composite(flavour, limiter):
            peeked = await call(one.peek, "b")

            assert (peeked.allowed, peeked.remaining, peeked.retry_after) == (False, 0, None)
            assert await call(one.check, "b") == peeked
            assert await call(one.allow, "b") is False


@pytest.mark.parametrize("kind", KINDS)
async def test_one_who_is_known_is_answered_where_no_other_has_room(flavour: Flavour, kind):
    """The key that is awaited has its bucket, and its numbers; an empty store refuses nobody."""
    async with full(flavour, kind) as limiter:
        for one in alone_and_in_a_composite(flavour, limiter):
            assert (await call(one.peek, "a")).retry_after == 2.0
            assert (await call(one.check, "a")).retry_after == 2.0

    assert await call(limiter.peek, "b")
    assert await call(flavour.CompositeLimiter([limiter]).allow, "b")
    assert "b" in limiter


GROWTH = """
import resource, sys
from limitpal import MockClock, TokenBucket

def peak():
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most // 1024 if sys.platform == "darwin" else most

clock = MockClock()
limiter = TokenBucket(5, 1, clock=clock, {options})
for n in range(300_000):
    {step}
    if n == 10_000:
        before = peak()
print(peak() - before)
"""
# A process's peak begins with its parent's: this one stands between the script and pytest.
SMALL = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1]]))"
RESET = 'limiter.allow("a"); limiter.reset("a")'
CHURN = 'limiter.allow(f"key {n}"); n % 100 or clock.advance(0.5)'


@pytest.mark.skipif(sys.platform == "win32", reason="`resource` is of Unix")
@pytest.mark.parametrize(
    ("options", "step"),
    [
        ("max_buckets=100", RESET),
        ("max_buckets=100_000, ttl=1", CHURN),
        ("ttl=1", CHURN),
        ("ttl=1, cleanup_interval=1", CHURN),
    ],
)
def test_what_is_forgotten_leaves_nothing_behind(options, step):
    """Three hundred thousand buckets, at most some hundreds alive: memory stays where it was.

    Of those reset, each left an entry in the queue of what may be evicted. Of those past their ttl
    hardly one was forgotten: with new keys only, the calls never caught up with the buckets.
    """
    script = GROWTH.format(options=options, step=step)

    command = [sys.executable, "-c", SMALL, script]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 4_000, "kilobytes more than after the first 10,000"
