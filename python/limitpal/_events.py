"""What an observer is called with: `limiter.observe(observer)`, `breaker.observe(observer)`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "BreakerFailed",
    "BreakerMoved",
    "BreakerRefused",
    "Event",
    "EvictedLive",
    "KeysGrowLikeCalls",
    "NearLimit",
    "Refused",
]


class Event:
    """The base of every event: a value, comparable and printable; it pickles."""


@dataclass(frozen=True)
class Refused(Event):
    """A call was refused: an `allow` or `check` that said no, an `acquire` that raised.

    `key` is the caller's, before any `key_by`. `retry_after` is in seconds: `inf` when never, None
    where it cannot be known.
    """

    key: str
    cost: int
    retry_after: float | None


@dataclass(frozen=True)
class NearLimit(Event):
    """A call brought what is used of a key's limit up to `share` of it, or past it.

    `used` of `limit` permits are used after the call, those who wait included.
    """

    key: str
    used: int
    limit: int
    share: float


@dataclass(frozen=True)
class KeysGrowLikeCalls(Event):
    """At least nine in ten of the last calls came with a key of their own: they limit nothing.

    Of the last `calls` (4,096), `new_keys` came with a key that was not remembered and had not come
    before among them, as `f"job:{id}"` does each time.
    """

    calls: int
    new_keys: int


@dataclass(frozen=True)
class EvictedLive(Event):
    """Keys were forgotten though they were in use, since `max_buckets` left no room.

    `key` is that whose call found out: as a rule the one that took the place. `evicted` is how many
    since the last such event, `total` how many in all.
    """

    key: str
    evicted: int
    total: int


@dataclass(frozen=True)
class BreakerMoved(Event):
    """A circuit breaker went from one state to another.

    `key` is whose circuit it is, where there is one for each key, and else empty.
    """

    key: str
    before: Literal["closed", "open", "half_open"]
    after: Literal["closed", "open", "half_open"]


@dataclass(frozen=True)
class BreakerRefused(Event):
    """A circuit breaker refused a call; in shadow, it would have.

    `retry_after` is in seconds, None where it was forced open. `reason` is "open", "probing",
    "ramp" or "forced", as that of `CircuitBreakerOpen`.
    """

    key: str
    retry_after: float | None
    reason: str


@dataclass(frozen=True)
class BreakerFailed(Event):
    """A call through a circuit breaker failed, and that counted."""

    key: str
