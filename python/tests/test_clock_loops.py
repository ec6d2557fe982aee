"""A mock clock and its event loops: they come and go, and there may be none."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
import trio

from limitpal import MockClock, MonotonicClock
from night import LOOPS, Night, new_loop, turns


@pytest.mark.parametrize("kind", LOOPS)
def test_a_clock_outlives_its_loops(kind: str) -> None:
    """It works in the next loop, and a sleeper left in a closed one bothers nobody."""
    clock = MockClock(autojump=False)
    night = Night(clock)
    first = new_loop(kind)
    first.run_until_complete(night.sleep(a=1.0))
    first.close()

    clock.advance(1.0)
    second = new_loop(kind)
    again = Night(clock)
    second.run_until_complete(again.sleep(b=1.0))
    clock.advance(1.0)
    second.run_until_complete(again.end())
    second.close()

    assert (night.woken, again.woken) == ([], [("b", 2.0)])
    night.tasks["a"]._log_destroy_pending = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", LOOPS)
def test_a_clock_moved_between_two_runs_of_a_loop_wakes_its_sleepers(kind: str) -> None:
    """One turn of the loop later their code has run."""
    night = Night(MockClock(autojump=False))
    loop = new_loop(kind)
    loop.run_until_complete(night.sleep(a=1.0))

    night.clock.advance(1.0)
    loop.run_until_complete(turns())

    assert night.woken == [("a", 1.0)]
    loop.close()


@pytest.mark.parametrize("autojump", [True, False])
def test_a_loop_dropped_in_mid_sleep_is_collected(autojump: bool) -> None:
    """With the clock, the task and all that hangs on them."""

    def leave() -> list[weakref.ref[Any]]:
        night = Night(MockClock(autojump=autojump))
        loop = asyncio.new_event_loop()
        loop.run_until_complete(night.sleep(a=1.0))
        night.tasks["a"]._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        return [weakref.ref(night.clock), weakref.ref(night.tasks["a"]), weakref.ref(loop)]

    left = leave()
    gc.collect()

    assert [ref() for ref in left] == [None, None, None]


@pytest.mark.parametrize("clock", [MockClock(), MonotonicClock()], ids=lambda c: type(c).__name__)
def test_trio_is_refused_clearly(clock: MockClock | MonotonicClock) -> None:
    """An async sleep needs asyncio's loop and says so; it never hangs."""

    async def main() -> None:
        await clock.sleep_async(1.0)

    with pytest.raises(RuntimeError, match="needs a running asyncio event loop; uvloop is one"):
        trio.run(main)


def test_driven_by_hand_it_is_refused_clearly() -> None:
    """Without any loop nobody could wake the sleeper; who does not sleep needs none."""
    with pytest.raises(StopIteration):
        MockClock().sleep_async(0.0).send(None)
    with pytest.raises(RuntimeError, match="needs a running asyncio event loop"):
        MockClock().sleep_async(1.0).send(None)
