"""A breaker: closed, and open, when it refuses with an exception that is caught."""

from __future__ import annotations

from rows import ORIGINAL, OURS, Table, Target, loop

EXECUTOR = "limitpal (executor)"

CLOSED = {
    OURS: "limitpal.breaker_call",
    EXECUTOR: "limitpal.breaker_run",
    ORIGINAL: "limitpal.breaker_run",
    "pybreaker": "breakers.by_pybreaker",
    "circuitbreaker": "breakers.by_circuitbreaker",
    "pyresilience": "pyresilience.breaker",
    "bare call": "bare.call",
}
AWAIT_CLOSED = {
    OURS: "limitpal.await_breaker_call",
    EXECUTOR: "limitpal.await_breaker_run",
    ORIGINAL: "limitpal.await_breaker_run",
    "circuitbreaker": "breakers.await_by_circuitbreaker",
    "pyresilience": "pyresilience.await_breaker",
    "bare await": "bare.await_call",
}
OPEN_RUN = {OURS: "limitpal.open_run", ORIGINAL: "limitpal.open_run", "bare call": "bare.call"}
OPEN_CALL = {
    OURS: "limitpal.open_call",
    "pybreaker": "breakers.open_by_pybreaker",
    "circuitbreaker": "breakers.open_by_circuitbreaker",
    "pyresilience": "pyresilience.open_breaker",
    "bare call": "bare.call",
}
AWAIT_OPEN_RUN = {
    OURS: "limitpal.await_open_run",
    ORIGINAL: "limitpal.await_open_run",
    "bare call": "bare.call",
}
AWAIT_OPEN_CALL = {
    OURS: "limitpal.await_open_call",
    "circuitbreaker": "breakers.await_open_by_circuitbreaker",
    "bare call": "bare.call",
}

SIXTY = Target(peer="bare call", at_most=60)

TABLES = (
    Table(
        "A breaker alone, closed, Python",
        "ns per call",
        "Around a call that succeeds. 0.1.1's breaker has no `call`, so its executor with a "
        "breaker and nothing else stands in.",
        (
            loop("breaker closed, sync", CLOSED),
            loop("breaker closed, async", AWAIT_CLOSED),
        ),
    ),
    Table(
        "An open breaker refuses, Python",
        "ns per refusal",
        "The exception included, made, raised and caught. The executor has a limiter and a retry "
        "policy besides.",
        (
            loop("open breaker, executor.run", OPEN_RUN, SIXTY),
            loop("open breaker, breaker.call", OPEN_CALL, SIXTY),
            loop("open breaker, await executor.run", AWAIT_OPEN_RUN, SIXTY),
            loop("open breaker, await breaker.call_async", AWAIT_OPEN_CALL, SIXTY),
        ),
    ),
)
