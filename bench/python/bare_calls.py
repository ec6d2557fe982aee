"""What one call costs, in bare Python calls: ratios from one run, in which all cases take turns.

A machine that others share makes every figure wobble; each case takes its turn in each round, and
its ratio is the median over the rounds of its time by that of the bare call beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    ResilientExecutor,
    RetryPolicy,
    TokenBucket,
)

ROUNDS = 31
CALLS = 20_000

#: The most that a case may cost, in bare calls.
MOST = {"allow": 4.0, "run": 12.0}


def bare(key: str) -> None:
    """Do nothing: the unit of measure."""


def timed(function: Callable[[str], object]) -> float:
    """Return the seconds that a loop of calls takes."""
    begin = time.perf_counter()
    for _ in range(CALLS):
        function("user:7")
    return time.perf_counter() - begin


def sync_cases() -> dict[str, Callable[[], float]]:
    """Return what is measured without an event loop."""
    limiter = TokenBucket(capacity=4_000_000_000, refill_rate=1e6)
    executor = ResilientExecutor(limiter, RetryPolicy(), CircuitBreaker())
    run, no_op = executor.run, lambda: None

    def runs() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            run("user:7", no_op)
        return time.perf_counter() - begin

    return {
        "bare": lambda: timed(bare),
        "allow": lambda: timed(limiter.allow),
        "acquire": lambda: timed(limiter.acquire),
        "check": lambda: timed(limiter.check),
        "run": runs,
    }


def async_cases() -> dict[str, Callable[[], float]]:
    """Return what is measured inside an event loop."""
    limiter = AsyncTokenBucket(capacity=4_000_000_000, refill_rate=1e6)
    executor = AsyncResilientExecutor(limiter, RetryPolicy(), CircuitBreaker())

    async def no_op() -> None:
        pass

    async def allows() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            await limiter.allow("user:7")
        return time.perf_counter() - begin

    async def acquires() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            await limiter.acquire("user:7")
        return time.perf_counter() - begin

    async def runs() -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            await executor.run("user:7", no_op)
        return time.perf_counter() - begin

    return {
        "await allow": lambda: asyncio.run(allows()),
        "await acquire": lambda: asyncio.run(acquires()),
        "await run": lambda: asyncio.run(runs()),
    }


def main() -> int:
    """Print the ratios; 1 if one is above what it may be."""
    cases = sync_cases() | async_cases()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            times[name].append(case())
    unit = times["bare"]
    print(f"{'case':15} {'ns':>8} {'bare calls':>11} {'at most':>8}")
    too_dear = False
    for name, own in times.items():
        ratio = statistics.median(a / b for a, b in zip(own, unit, strict=True))
        nanos = statistics.median(own) / CALLS * 1e9
        most = MOST.get(name)
        too_dear |= most is not None and ratio > most
        print(f"{name:15} {nanos:8.1f} {ratio:11.2f} {most or '':>8}")
    return int(too_dear)


if __name__ == "__main__":
    sys.exit(main())
