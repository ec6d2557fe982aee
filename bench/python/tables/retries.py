"""Retry alone, around a call that succeeds at once."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Table, loop

SYNC = {
    OURS: "limitpal.retry",
    ORIGINAL: "limitpal.retry",
    "tenacity": "retries.by_tenacity",
    "stamina": "retries.by_stamina",
    "backoff": "retries.by_backoff",
    "pyresilience": "pyresilience.retry",
    "by hand": "bare.retry",
    "bare call": "bare.call",
}
ASYNC = {
    OURS: "limitpal.await_retry",
    ORIGINAL: "limitpal.await_retry",
    "tenacity": "retries.await_by_tenacity",
    "stamina": "retries.await_by_stamina",
    "backoff": "retries.await_by_backoff",
    "pyresilience": "pyresilience.await_retry",
    "bare await": "bare.await_call",
}

TABLES = (
    Table(
        "Retry alone, Python",
        "ns per call",
        "An executor that has a retry policy and nothing else, and the others' decorators, around "
        "a call that succeeds at once. By hand: `for`, `try`, `except`.",
        (loop("retry, sync", SYNC), loop("retry, async", ASYNC)),
    ),
)
