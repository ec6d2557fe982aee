"""A crowd of threads that wait for one key, in real time: how long, in what order, how often woken.

The threads come one after the other; each comes again as soon as it has had its turn.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

from . import Settings, Turn, sleeps
from .order import inversions


def prepare(acquire: Callable[[], object], settings: Settings) -> Turn:
    """Return a function that lets the crowd through, a bucket of one token being full again."""
    threads, times, rate = settings["threads"], settings["times"], settings["arguments"]["rate"]
    grants = threads * times

    def turn() -> dict[str, float]:
        time.sleep(2 / rate)  # the bucket is full again
        arrivals = itertools.count()
        granted: list[int] = []

        def come() -> None:
            for _ in range(times):
                number = next(arrivals)
                acquire()
                granted.append(number)

        crowd = [threading.Thread(target=come) for _ in range(threads)]
        sleeps.counted()
        cpu, begin = time.process_time(), time.perf_counter()
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return {
            "over ideal": took * rate / (grants - 1),
            "inversions": inversions(granted),
            "wakes": sleeps.counted() / (grants - 1),
            "cpu": cpu / grants * 1e6,
        }

    return turn
