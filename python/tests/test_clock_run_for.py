"""`run_for`: tasks settle at every deadline on the way; asyncio and uvloop alike."""

from __future__ import annotations

import asyncio

import pytest

from limitpal import MockClock
from night import LOOPS, PATIENCE, Night, new_loop, on_each_loop, ticker, turns


@pytest.mark.parametrize("autojump", [True, False])
@pytest.mark.parametrize("kind", LOOPS)
def test_a_ticker_ticks_sixty_times_in_a_minute(kind: str, autojump: bool) -> None:
    """run_for() stops at every deadline on the way, where advance() wakes it once."""

    async def main() -> None:
        clock = MockClock(autojump=autojump)
        task, ticks = ticker(clock, 1.0)

        await clock.run_for(60)

        assert ticks == [float(second) for second in range(1, 61)]
        assert clock.now() == 60.0
        task.cancel()

    loop = new_loop(kind)
    loop.run_until_complete(asyncio.wait_for(main(), PATIENCE))
    loop.close()


@on_each_loop
async def test_an_advance_wakes_a_ticker_once() -> None:
    """The difference that run_for() is for."""
    clock = MockClock(autojump=False)
    task, ticks = ticker(clock, 1.0)
    await turns()

    clock.advance(60.0)
    await turns(5)

    assert ticks == [60.0]
    task.cancel()


@on_each_loop
async def test_run_for_goes_to_its_end_and_no_further() -> None:
    """Where nobody sleeps, and where somebody sleeps beyond it."""
    night = Night(MockClock(autojump=False))
    await night.clock.run_for(2.5)
    await night.clock.run_for(0)
    await night.sleep(beyond=10.0)

    await night.clock.run_for(2.5)

    assert night.clock.now() == 5.0
    assert night.woken == []
    night.tasks["beyond"].cancel()


@on_each_loop
async def test_tasks_settle_at_each_stop() -> None:
    """Whoever wakes may hand on to others, who may sleep anew, before time goes on."""
    clock = MockClock()
    queue: asyncio.Queue[float] = asyncio.Queue()
    seen: list[tuple[float, float]] = []

    async def consume() -> None:
        while True:
            made = await queue.get()
            await asyncio.gather(turns(3), turns(7))
            await clock.sleep_async(0.5)
            seen.append((made, clock.now()))

    async def produce() -> None:
        while True:
            await clock.sleep_async(1.0)
            queue.put_nowait(clock.now())

    tasks = [asyncio.ensure_future(consume()), asyncio.ensure_future(produce())]
    await clock.run_for(3.5)

    assert seen == [(1.0, 1.5), (2.0, 2.5), (3.0, 3.5)]
    for task in tasks:
        task.cancel()


@on_each_loop
async def test_two_may_run_a_clock_at_once() -> None:
    """Each goes to its own end, and tasks settle for both."""
    clock = MockClock()
    task, ticks = ticker(clock, 1.0)

    await asyncio.gather(clock.run_for(3.0), clock.run_for(5.0))

    assert ticks == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert clock.now() == 5.0
    task.cancel()


@on_each_loop
async def test_run_for_refuses_to_go_back() -> None:
    """As advance() does."""
    with pytest.raises(ValueError, match="negative"):
        await MockClock().run_for(-1)
