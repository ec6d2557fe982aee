"""Those who wait for several limiters at once: all go, and who came first goes first."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from driving import ASYNC, settle
from limitpal import MockClock
from models import nanos

STUCK = 5.0  # real seconds, of which thousands of turns of the event loop need a tenth


async def all_go(clock: MockClock, parts: list, costs: list[int], passing: int | None = None):
    """Let one after the other join, and return who went and when; somebody may ask in passing."""
    both, went = ASYNC.CompositeLimiter(parts), []

    async def wait(who: int, cost: int) -> None:
        await both.acquire("k", cost=cost)
        went.append((who, nanos(clock.now())))

    tasks = []
    for who, cost in enumerate(costs):
        tasks.append(asyncio.ensure_future(wait(who, cost)))
        await asyncio.sleep(0)
        if who == passing:
            await both.allow("k")
    try:
        await asyncio.wait_for(asyncio.gather(*tasks), STUCK)
    except asyncio.TimeoutError:
        stuck = [who for who, task in enumerate(tasks) if task.cancelled()]
        pytest.fail(f"{stuck} hand each other their places for ever, at {clock.now()}: {went}")
    await settle()
    return went


@pytest.mark.parametrize("rates", [(1 / 3, 1 / 3), (3, 3), (3, 7), (7, 3), (1, 1 / 3)], ids=repr)
@pytest.mark.parametrize("passing", [None, 2, 3])
async def test_twenty_who_wait_in_different_parts_all_go_in_order(clock, rates, passing):
    """At one instant one's turn came in one part, another's in the other, for ever.

    The first moved to the other part, and so let the second have the place it had left.
    """
    parts = [
        ASYNC.LeakyBucket(capacity, rate, clock=clock)
        for capacity, rate in zip((9, 2), rates, strict=True)
    ]

    went = await all_go(clock, parts, [1] * 20, passing)

    assert [who for who, _ in went] == list(range(20))
    times, interval = [at for _, at in went], nanos(1 / min(rates))
    assert all(later - sooner >= interval for sooner, later in itertools.pairwise(times))
    assert times[-1] <= 20 * (interval + 1), "nineteen waited, and one asked in passing"


@pytest.mark.parametrize("kinds", [("token", "leaky"), ("leaky", "token"), ("leaky", "leaky")])
@pytest.mark.parametrize("costs", [[1, 2, 1, 2, 2], [2, 1, 2, 1, 1, 2, 1], [2, 2, 1, 1] * 3])
async def test_those_who_ask_for_different_amounts_go_in_order(clock, kinds, costs):
    """Whoever came first goes first, whatever it takes.

    Only one who took as much gave way: the others traded places for ever at one instant.
    """
    parts = [ASYNC.bucket(kind, 2, 1, clock=clock) for kind in kinds]

    went = await all_go(clock, parts, costs)

    assert [who for who, _ in went] == list(range(len(costs)))
