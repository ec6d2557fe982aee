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
)
