"""Who sleeps on a mock clock, in a loop of either kind, and who woke when."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import pytest

from limitpal import MockClock

LOOPS = ["asyncio", "uvloop"] if sys.platform != "win32" else ["asyncio"]
# Real seconds after which a test that hangs fails instead.
PATIENCE = 20.0


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Returns a loop of the kind, in debug mode: a call from a wrong thread is an error there."""
    if kind == "uvloop":
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    loop.set_debug(True)
    return loop


def on_each_loop(story: Callable[[], Awaitable[None]]) -> Callable[[str], None]:
    """Makes a coroutine function a test, on asyncio's own loop and on uvloop."""

    def test(kind: str) -> None:
        loop = new_loop(kind)
        try:
            loop.run_until_complete(asyncio.wait_for(story(), PATIENCE))
        finally:
            loop.close()

    test.__name__, test.__doc__ = story.__name__, story.__doc__
    return pytest.mark.parametrize("kind", LOOPS)(test)


async def turns(count: int = 1) -> None:
    """Gives the loop some turns; no time passes."""
    for _ in range(count):
        await asyncio.sleep(0)


class Night:
    """Who sleeps on a clock, and who woke when."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.woken: list[tuple[str, float]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def sleep(self, **sleepers: float) -> None:
        """Starts a task for each, and returns when all of them sleep."""

        async def sleeper(name: str, seconds: float) -> None:
            await self.clock.sleep_async(seconds)
            self.woken.append((name, self.clock.now()))

        for name, seconds in sleepers.items():
            self.tasks[name] = asyncio.ensure_future(sleeper(name, seconds))
        await turns()

    async def end(self) -> None:
        """Waits until all have woken or are cancelled."""
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def ticker(clock: MockClock, period: float) -> tuple[asyncio.Task[None], list[float]]:
    """Starts a task that notes the time every period, for ever."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep_async(period)
            ticks.append(clock.now())

    return asyncio.ensure_future(tick()), ticks
