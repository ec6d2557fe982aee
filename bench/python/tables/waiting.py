"""Crowds that wait for one key in real time: threads, and asyncio tasks."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Figure, Measurement, Scale, Table, Target

THREADS = 16
THREAD_RATE = 200
TASK_RATE = 1_000

BLOCKING = {
    OURS: "limitpal.wait",
    ORIGINAL: "limitpal.wait",
    "pyrate-limiter": "pyrate_limiter.wait",
}
AWAITED = {
    OURS: "limitpal.await_wait",
    ORIGINAL: "limitpal.await_wait",
    "aiolimiter": "aiolimiter.await_wait",
    "pyrate-limiter": "pyrate_limiter.await_wait",
}


def tables(scale: Scale) -> list[Table]:
    """Return the tables."""
    crowd, grants = f"{THREADS} threads", THREADS * scale.times
    tasks = f"{scale.tasks:,} tasks"
    return [
        Table(
            f"{crowd} waiting for one key, Python",
            "as the row says",
            f"{grants} turns at {THREAD_RATE} a second, each thread coming again after its turn. "
            "Ideal is the rate and nothing else. A wake is a return from `time.sleep`. An "
            "inversion is a pair of which the later came first.",
            (threads(crowd, scale),),
        ),
        Table(
            f"{tasks} waiting for one key, Python",
            "as the row says",
            f"Asyncio tasks that come at once, at {TASK_RATE:,} a second. A wake is one more time "
            "that a task's `acquire` was run.",
            (awaiting(tasks, scale),),
        ),
    ]


def threads(crowd: str, scale: Scale) -> Measurement:
    """Return the measurement of the threads."""
    return Measurement(
        "threads",
        BLOCKING,
        (
            Figure("over ideal", f"{crowd}, time", (Target(at_most=1.02),), "times the ideal"),
            Figure("inversions", f"{crowd}, order", (Target(at_most=0),), "inversions"),
            Figure("wakes", f"{crowd}, wakes", (Target(at_most=1),), "per grant"),
            Figure("cpu", f"{crowd}, CPU", unit="µs per grant"),
        ),
        {"threads": THREADS, "times": scale.times, "arguments": {"rate": THREAD_RATE}},
        rounds=scale.slow_rounds,
    )


def awaiting(crowd: str, scale: Scale) -> Measurement:
    """Return the measurement of the tasks."""
    return Measurement(
        "tasks",
        AWAITED,
        (
            Figure("over ideal", f"{crowd}, time", unit="times the ideal"),
            Figure("inversions", f"{crowd}, order", unit="inversions"),
            Figure("wakes", f"{crowd}, wakes", unit="per grant"),
            Figure("cpu", f"{crowd}, CPU", unit="µs per grant"),
        ),
        {"tasks": scale.tasks, "arguments": {"rate": TASK_RATE}},
        rounds=scale.slow_rounds,
    )
