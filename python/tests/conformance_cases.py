"""What a file of conformance cases looks like, and how a step is held against what happened."""

from __future__ import annotations

import json
import math
from collections.abc import Coroutine
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

NANOS = 10**9
DIRECTORY = Path(__file__).parents[2] / "conformance"

Fields = dict[str, Any]

# The fields of a case by file: those it must have, and those it may have.
ALWAYS = {"name", "why"}
PARTS = {"limiter", "retry", "breaker", "bulkhead", "charge", "acquire_timeout"}
LIMITER = ({"limiter", "steps"}, set[str]())
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "token_bucket": LIMITER,
    "leaky_bucket": LIMITER,
    "fair_bucket": LIMITER,
    "windows": LIMITER,
    "strict": LIMITER,
    "warm_up": LIMITER,
    "composite": LIMITER,
    "live_change": LIMITER,
    "waiting": ({"limiter", "steps", "outcomes"}, {"sleepers"}),
    "concurrency": ({"limiter", "steps", "outcomes"}, set()),
    "backoff": ({"policy", "delays"}, set()),
    "words": ({"limits"}, set()),
    "breaker": ({"breaker", "steps"}, set()),
    "client_throttle": ({"throttle", "steps"}, set()),
    "adaptive_concurrency": ({"adaptive", "steps"}, set()),
    "adaptive_limiter": ({"adaptive", "steps"}, set()),
    "pipeline": ({"steps"}, PARTS),
    "timeouts": ({"steps"}, PARTS | {"timeout", "attempt_timeout", "slow_attempts"}),
    "hedges": ({"steps"}, PARTS | {"attempt_timeout", "hedge"}),
}


class WrongCase(Exception):
    """A case that is malformed, or that did not come out as written."""


def load(name: str) -> list[Fields]:
    """Return the cases of a file."""
    return read((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"), name)


def read(text: str, name: str) -> list[Fields]:
    """Return the cases in a file's text."""
    whole = json.loads(text, object_pairs_hook=_once)
    if set(whole) != {"about", "cases"} or not whole["about"] or not whole["cases"]:
        raise WrongCase("a file says what it is about, and has cases")
    must, may = SHAPES[name]
    for case in whole["cases"]:
        if not (ALWAYS | must <= set(case) <= ALWAYS | must | may):
            raise WrongCase(f"a case has other fields: {sorted(case)}")
        if not (case["name"] and case["why"]):
            raise WrongCase(f"a case needs a name and a why: {case}")
    return list(whole["cases"])


def _once(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise WrongCase(f"a field stands twice: {[name for name, _ in pairs]}")
    return fields


def nanos(text: str) -> int:
    """Read decimal seconds, written shortest, as nanoseconds."""
    try:
        whole = int(Decimal(text) * NANOS) if isinstance(text, str) else -1
    except (InvalidOperation, OverflowError, ValueError):
        whole = -1
    if whole < 0 or written(whole) != text:
        raise WrongCase(f"`{text}` is no time")
    return whole


def seconds(text: str) -> float:
    """Read decimal seconds as the float next to it."""
    return nanos(text) / NANOS


def written(whole: int) -> str:
    """Write nanoseconds as the shortest decimal seconds."""
    text = f"{whole // NANOS}.{whole % NANOS:09}"
    return text.rstrip("0").rstrip(".")


def decimal(value: float | None) -> str:
    """Write a float of seconds, or of permits, with nine decimals at most."""
    if value is None:
        return "unknown"
    return "never" if value == math.inf else written(round(value * NANOS))


def number(text: str) -> float:
    """Read a number as a user types it, or a division of two: `100/60`."""
    over, _, under = text.partition("/")
    return float(over) / float(under or "1")


class Step:
    """A line of a case: arguments are taken out, what is left must come out."""

    def __init__(self, fields: Fields) -> None:
        self.whole = fields
        self.left = dict(fields)

    def take(self, name: str, *default: Any) -> Any:
        """Take an argument out."""
        if name not in self.left and not default:
            raise WrongCase(f"`{name}` is missing in {self.whole}")
        return self.left.pop(name, *default)

    def compare(self, seen: Fields) -> None:
        """Hold what is left against what happened."""
        if seen and not self.left:
            raise WrongCase(f"{self.whole}\na step names what comes out, here {seen}")
        for name, expected in self.left.items():
            if name not in seen or (type(seen[name]), seen[name]) != (type(expected), expected):
                raise WrongCase(
                    f"{self.whole}\n`{name}` is not {expected!r}; it came out as {seen}"
                )


def finish(body: Coroutine[Any, Any, None]) -> None:
    """Run a body whose calls are all sync: it never suspends."""
    try:
        body.send(None)
    except StopIteration:
        return
    body.close()
    raise WrongCase("a sync call suspended")
