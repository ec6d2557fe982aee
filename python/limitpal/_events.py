"""What an observer is called with: that of a limiter, a breaker or an executor (`observe`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "AttemptBegan",
    "AttemptFailed",
    "BreakerFailed",
    "BreakerMoved",
    "BreakerRefused",
    "Event",
    "EvictedLive",
    "HedgeStarted",
    "KeysGrowLikeCalls",
    "NearLimit",
    "Refused",
    "RetryPlanned",
    "RunBegan",
    "RunEnded",
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

    `key` is whose circuit it is, where there is one for each key, and else empty. `reason` says by
    which rule it moved, or by whom: "mode_changed" means that somebody forced it open, disabled it,
    or ended that.
    """

    key: str
    before: Literal["closed", "open", "half_open"]
    after: Literal["closed", "open", "half_open"]
    reason: Literal[
        "consecutive_failures",
        "failure_rate",
        "slow_call_rate",
        "probe_failed",
        "probe_slow",
        "half_open_timeout",
        "recovery_timeout",
        "probes_succeeded",
        "ramp_over",
        "reset",
        "mode_changed",
        "restored",
    ]


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


@dataclass(frozen=True)
class RunBegan(Event):
    """A run of an executor began. `run` is its number among those that were told of, from 1 on."""

    key: str
    run: int


@dataclass(frozen=True)
class AttemptBegan(Event):
    """An attempt is about to begin: the function is called next. `attempt` counts from 1."""

    key: str
    run: int
    attempt: int


@dataclass(frozen=True)
class AttemptFailed(Event):
    """An attempt failed, in all its tries if there were several.

    `error` is the name of the exception's class and `words` what it says; for a result that
    `retry_on_result` turns down, the name of its class. `retryable`: whether it deserves another
    attempt, if there is one left. `counted`: as what the circuit breaker counts it, None where that
    is neither.
    """

    key: str
    run: int
    attempt: int
    error: str
    words: str
    retryable: bool
    counted: Literal["success", "failure"] | None


@dataclass(frozen=True)
class RetryPlanned(Event):
    """Another attempt was planned: that of this number, after a wait of `delay` seconds."""

    key: str
    run: int
    attempt: int
    delay: float


@dataclass(frozen=True)
class HedgeStarted(Event):
    """A slow attempt was given another try: its hedge of this number, from 1 on."""

    key: str
    run: int
    attempt: int
    hedge: int


@dataclass(frozen=True)
class RunEnded(Event):
    """A run of an executor ended, and all it held has gone back.

    - `end`: in one word, how; `reason`: where it is "exhausted", why there was no other attempt.
    - `attempts`: how many have begun.
    - `waited`: how many seconds it has waited for quota and for a place in the bulkhead;
      `backed_off`: how many it has slept between attempts, as planned; `lasted`: how many it has
      lasted by the executor's clock, None if that failed.
    """

    key: str
    run: int
    end: Literal[
        "success",
        "failed",
        "exhausted",
        "timed_out",
        "refused_by_limiter",
        "refused_by_breaker",
        "refused_by_bulkhead",
        "refused_by_timeout",
        "cancelled",
    ]
    reason: (
        Literal[
            "attempts",
            "elapsed",
            "deadline",
            "budget",
            "circuit_open",
            "rate_limited",
            "bulkhead_full",
        ]
        | None
    )
    attempts: int
    waited: float
    backed_off: float
    lasted: float | None
