"""Limiter, retry and breaker around a call that does nothing."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Table, loop, times

SYNC_TOWER = "the articles' tower"
ASYNC_TOWER = "the tower that works"

SYNC = {
    OURS: "limitpal.run",
    ORIGINAL: "limitpal.run",
    SYNC_TOWER: "towers.run",
    "pyresilience": "pyresilience.run",
    "bare call": "bare.call",
}
ASYNC = {
    OURS: "limitpal.await_run",
    ORIGINAL: "limitpal.await_run",
    ASYNC_TOWER: "towers.await_run",
    "pyresilience": "pyresilience.await_run",
    "bare await": "bare.await_call",
}

FIVE_SYNC = {OURS: "limitpal_stages.run", "pyresilience": "pyresilience.run_five"}
FIVE_ASYNC = {OURS: "limitpal_stages.await_run", "pyresilience": "pyresilience.await_five"}

TABLES = (
    Table(
        "The whole pipeline, Python",
        "ns per call",
        "Limiter, retry and breaker around a call that does nothing and succeeds. The articles' "
        "tower is pybreaker over tenacity over ratelimit; the tower that works for coroutines is "
        "circuitbreaker over tenacity over aiolimiter.",
        (
            loop("executor, sync", SYNC, times(ORIGINAL, 10), times(SYNC_TOWER, 60)),
            loop("executor, async", ASYNC, times(ORIGINAL, 7), times(ASYNC_TOWER, 45)),
        ),
    ),
    Table(
        "Five stages, Python",
        "ns per call",
        "A timeout for each attempt, breaker, bulkhead, limiter and retry around a call that does "
        "nothing and succeeds. pyresilience ends a sync call by waiting for it in another thread; "
        "ours tells the call its deadline, and has `on_threads` for calls that do not look.",
        (
            loop("five stages, sync", FIVE_SYNC, times("pyresilience", 2)),
            loop("five stages, async", FIVE_ASYNC, times("pyresilience", 2)),
        ),
    ),
)
