"""A crowd of asyncio tasks that wait for one key, in real time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from . import Settings, Turn
from .order import inversions


class Counted:
    """An awaitable that counts how often its coroutine was woken."""

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self.coroutine = coroutine
        self.wakes = 0

    def __await__(self) -> Generator[Any, Any, None]:
        while True:
            try:
                waits_for = self.coroutine.send(None)
            except StopIteration:
                return
            yield waits_for
            self.wakes += 1


def prepare(acquire: Callable[[], Coroutine[Any, Any, object]], settings: Settings) -> Turn:
    """Return a function that lets the crowd through, a bucket of one token being full again."""
    tasks, rate = settings["tasks"], settings["arguments"]["rate"]
    events = asyncio.new_event_loop()

    async def crowd() -> dict[str, float]:
        granted: list[int] = []
        waits = [Counted(acquire()) for _ in range(tasks)]

        async def come(number: int) -> None:
            await waits[number]
            granted.append(number)

        await asyncio.sleep(2 / rate)  # the bucket is full again
        cpu, begin = time.process_time(), time.perf_counter()
        await asyncio.gather(*(come(number) for number in range(tasks)))
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return {
            "over ideal": took * rate / (tasks - 1),
            "inversions": inversions(granted),
            "wakes": sum(wait.wakes for wait in waits) / (tasks - 1),
            "cpu": cpu / tasks * 1e6,
        }

    return lambda: events.run_until_complete(crowd())
