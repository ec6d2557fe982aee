"""A timed loop of calls: nanoseconds per call.

As `timeit` does it: the names are bound beforehand, the garbage collector rests during the loop,
and the loop's own cost stays in every figure, the bare call's too.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from . import Settings, Turn
from .statement import Statement


def prepare(case: Statement, settings: Settings) -> Turn:
    """Return a function that times a loop as long as the settings want it, about.

    The loop goes through all known keys at least once, and it ran as often before the timer is
    started, since the caches are cold: other processes had their turns meanwhile.
    """
    once = runner(case)
    known = known_things(case, settings["keys"])
    once(known)
    fresh = (f"new:{number}" for number in itertools.count())
    again = known if settings["in_order"] else mixed(known)
    source: Iterator[object] = itertools.cycle(again) if known else fresh
    calls = calibrated(lambda calls: once(itertools.islice(source, calls)), settings["seconds"])
    calls = max(calls, len(known))
    gc.collect()
    gc.freeze()  # so that the collections between the turns look at little

    def turn() -> dict[str, float]:
        warm, part = (list(itertools.islice(source, calls)) for _ in range(2))
        gc.collect()
        gc.disable()
        try:
            once(warm)
            seconds = once(part)
        finally:
            gc.enable()
        return {"ns": seconds / calls / case.decisions * 1e9}

    return turn


def runner(case: Statement) -> Callable[[Iterable[object]], float]:
    """Return what runs the statement for each of some keys, and says how many seconds it took."""
    loop = case.loop()
    if not case.awaits:
        return lambda part: float(loop(part, time.perf_counter))
    events = asyncio.new_event_loop()
    return lambda part: float(events.run_until_complete(loop(part, time.perf_counter)))


def known_things(case: Statement, keys: int | str) -> Sequence[object]:
    """Return what the loop goes through again and again; nothing, if each key is to be new."""
    if keys == "fresh":
        return ()
    return case.each if case.each is not None else known_keys(int(keys))


def known_keys(count: int) -> list[str]:
    """Return so many keys."""
    return [f"user:{number}" for number in range(count)]


def mixed(known: Sequence[object]) -> Sequence[object]:
    """Return keys in another order than that in which they became known, as requests bring them.

    A text is a new one, as from a request: only what a library keeps is somewhere in memory.
    """
    order = random.Random(7).sample(known, len(known))
    return ["".join(list(key)) if isinstance(key, str) else key for key in order]


def calibrated(run: Callable[[int], float], seconds: float) -> int:
    """Return how many calls take about so many seconds."""
    calls = 1
    while (took := run(calls)) < seconds / 4:
        calls *= 4
    return max(1, int(calls * seconds / took))
