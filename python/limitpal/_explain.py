"""Why a call was refused: by which part, for which key, in numbers, and what would change that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ._errors import (
    CircuitBreakerOpen,
    InvalidConfigError,
    LimitPalError,
    RateLimitExceeded,
    RetryExhausted,
)

__all__ = ["Explanation", "explain"]


@dataclass(frozen=True)
class Explanation:
    """Why a call was refused, to read and to print.

    `part` is the kind of what has refused, `key` whose call it was, where that is known. `state` is
    how it stood, by name. `retry_after` is in seconds, `inf` when never and None where nobody
    knows; `change` says what would have to be otherwise.
    """

    part: str
    key: str | None
    state: dict[str, object] = field(default_factory=dict[str, object])
    retry_after: float | None = None
    change: str = ""

    def __str__(self) -> str:
        whose = "a call" if self.key is None else f'"{self.key}"'
        shown = ", ".join(f"{name} {value}" for name, value in self.state.items())
        return f"{self.part} refused {whose}{': ' if shown else ''}{shown}; {self.change}"


def explain(error: BaseException) -> Explanation:
    """Explain a refusal of ours: which part, which key, its numbers, and what would change them.

    Numbers are those of the moment of refusing. Limits and what remains are there where reading
    them calls no code of yours: a clock of your own, `key_by` and `quota` leave them out.

    >>> from limitpal import MockClock, RateLimitExceeded, TokenBucket, explain
    >>> limiter = TokenBucket(capacity=2, refill_rate=1, clock=MockClock())
    >>> answers = limiter.allow_many(["ann", "ann"])
    >>> try:
    ...     limiter.acquire("ann", timeout=0)
    ... except RateLimitExceeded as error:
    ...     print(explain(error))
    TokenBucket refused "ann": limit 2, remaining 0, cost 1; come back in 1s, or raise the limit
    """
    if isinstance(error, RateLimitExceeded):
        return _of_limiter(error)
    if isinstance(error, CircuitBreakerOpen):
        return _of_breaker(error)
    if isinstance(error, RetryExhausted):
        state: dict[str, object] = {"attempts": error.attempts, "reason": error.reason}
        change = _CHANGES.get(error.reason or "", "mend what the last error says")
        return Explanation("RetryPolicy", None, state, None, change)
    if isinstance(error, LimitPalError) and not isinstance(error, InvalidConfigError):
        return _of_another(error)
    raise TypeError(f"error is a {type(error).__name__}, which is no refusal of ours")


def _of_limiter(error: RateLimitExceeded) -> Explanation:
    numbers = {"limit": error.limit, "remaining": error.remaining, "cost": error.cost}
    state: dict[str, object] = {name: it for name, it in numbers.items() if it is not None}
    after = error.retry_after
    if after is None:
        change = "come back when others have given back; nobody can say when"
    elif math.isinf(after):
        most = (
            "lower the cost" if error.limit is None else f"lower the cost to {error.limit} at most"
        )
        change = f"{most}, or raise the limit"
    elif after == 0:
        change = "ask again now"
    else:
        change = f"come back in {after:g}s, or raise the limit"
    return Explanation(error.limiter or "a limiter", error.key, state, after, change)


def _of_breaker(error: CircuitBreakerOpen) -> Explanation:
    state: dict[str, object] = {"state": error.reason or "open"}
    if error.trips:
        state |= {"trips in a row": error.trips, "failures in a row": error.failures}
    if error.retry_after is None:
        change = "run it in another mode; until then nobody can say when"
    elif error.reason == "probing":
        change = f"wait {error.retry_after:g}s, or until one of its probes has ended"
    elif error.reason == "ramp":
        change = f"wait {error.retry_after:g}s; an earlier call may be let through"
    else:
        change = f"wait {error.retry_after:g}s, until it half-opens and lets a probe through"
    return Explanation("CircuitBreaker", None, state, error.retry_after, change)


_CHANGES = {
    "attempts": "allow more attempts, or mend what the last error says",
    "circuit_open": "wait until the circuit lets calls through again",
    "rate_limited": "come back when there is quota, or be ready to wait longer for it",
    "elapsed": "allow more time, or delay attempts less",
    "deadline": "allow more time, or delay attempts less",
    "budget": "come back when fewer calls fail; the budget keeps retries a share of them",
    "bulkhead_full": "come back when others have ended, or let more in at a time",
}
# What the other refusals have to say, by their names.
_OTHERS = {
    "BulkheadFull": ("Bulkhead", "come back when others have ended, or let more in at a time"),
    "TimeoutExceeded": ("timeout", "allow more time, or make the call faster"),
}


def _of_another(error: LimitPalError) -> Explanation:
    kind = type(error).__name__
    part, change = _OTHERS.get(kind, (kind, str(error)))
    said = {name: it for name, it in vars(error).items() if name not in {"key", "retry_after"}}
    state = {name: it for name, it in said.items() if it is not None and name[0] != "_"}
    after: float | None = getattr(error, "retry_after", None)
    return Explanation(part, getattr(error, "key", None), state, after, change)
