"""What one client did, counted around its own sends, its attempts and its breaker."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from demo.plan import Plan

POOLS = 16
"""A send in httpx looks through the whole pool, so a crowd is quicker in several small ones."""


class HasState(Protocol):
    """The part of a circuit breaker that a meter reads."""

    @property
    def state(self) -> str:
        """One of `closed`, `open`, `half_open`."""


@dataclass(frozen=True)
class Transition:
    """A breaker seen in another state than before, so many seconds into the turn."""

    at: float
    before: str
    after: str


@dataclass
class Meter:
    """The counts of one client's turn. A job is what a user wants; it may take several requests."""

    plan: Plan
    started: float
    sent: int = 0
    over_quota: int = 0
    server_errors: int = 0
    unanswered: int = 0
    into_outage: int = 0
    done: int = 0
    failed: int = 0
    turned_away: int = 0
    waits: list[float] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    breaker_state: str | None = None
    took: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since the turn began."""
        return time.monotonic() - self.started

    @property
    def success_rate(self) -> float:
        """Jobs done, as a share of all."""
        return self.done / self.plan.requests

    def finish(self) -> None:
        """Stops the watch."""
        self.took = self.elapsed

    def sending(self) -> None:
        """Counts a request just before it goes out."""
        self.sent += 1
        self.into_outage += self.plan.in_outage(self.elapsed)

    def answered(self, status: int) -> None:
        """Counts an answer."""
        self.over_quota += status == 429
        self.server_errors += status >= 500

    def look(self, breaker: HasState) -> None:
        """Notes the breaker's state if it is another than last time.

        `half_open` begins by time alone, so a look between attempts sees what no attempt does.
        """
        state = breaker.state
        if self.breaker_state not in (None, state):
            self.transitions.append(Transition(self.elapsed, str(self.breaker_state), state))
        self.breaker_state = state


class MeteredTransport(httpx.AsyncBaseTransport):
    """httpx's own transport with a meter around every send."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        # No queue for connections inside httpx: a request counted as sent is on its way.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        # Plain HTTP on loopback: no certificates to read.
        self._pools = [httpx.AsyncHTTPTransport(limits=limits, verify=False) for _ in range(POOLS)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request and counts it, its answer or the lack of one."""
        pool = self._pools[self._meter.sent % POOLS]
        self._meter.sending()
        try:
            response = await pool.handle_async_request(request)
        except httpx.TransportError:
            self._meter.unanswered += 1
            raise
        self._meter.answered(response.status_code)
        return response

    async def aclose(self) -> None:
        """Closes the connections."""
        for pool in self._pools:
            await pool.aclose()
