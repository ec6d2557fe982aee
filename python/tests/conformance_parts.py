"""Makes limiters, policies and breakers from what a conformance case says, and reads them."""

from __future__ import annotations

import math
from typing import Any

import limitpal
from conformance_cases import Fields, Step, WrongCase, decimal, number, seconds, written
from driving import Flavour, call

WINDOWS = {
    "fixed_window": "FixedWindow",
    "sliding_window_counter": "SlidingWindowCounter",
    "sliding_window_log": "SlidingWindowLog",
}


class Limiter:
    """A limiter of a case, and how its steps call it."""

    def __init__(self, spec: Fields, clock: Any, flavour: Flavour) -> None:
        self.parts = [Limiter(part, clock, flavour) for part in spec.get("parts", [])]
        if self.parts:
            _only(spec, {"kind", "parts"})
            self.own = flavour.CompositeLimiter([part.own for part in self.parts])
            return
        if spec["kind"] in WINDOWS:
            left = {name: value for name, value in spec.items() if name != "kind"}
            _only(left, {"limit", "per", "align"})
            window = flavour.window(WINDOWS[spec["kind"]])
            self.own = window(left.pop("limit"), number(left.pop("per")), clock, **left)
            return
        if spec["kind"] == "fair_bucket":
            left = {name: value for name, value in spec.items() if name != "kind"}
            _only(left, {"capacity", "rate", "active_for"})
            options = {"active_for": seconds(left["active_for"])} if "active_for" in left else {}
            fair = flavour.window("FairBucket")
            self.own = fair(left["capacity"], number(left["rate"]), clock, **options)
            return
        if spec["kind"] in ("strict", "warm_up_bucket"):
            self.own = _options(dict(spec), clock, flavour)
            return
        left = dict(spec)
        kind, capacity, rate = (left.pop(name) for name in ("kind", "capacity", "rate"))
        options = {"ttl", "max_buckets", "evict", "cleanup_interval", "per_key", "key_by"}
        _only(left, options | {"initial", "debt"})
        if "ttl" in left:
            left["ttl"] = seconds(left["ttl"])
        if "key_by" in left:
            table = left["key_by"]
            left["key_by"] = lambda key: table.get(key, key)
        cls = {"token_bucket": flavour.TokenBucket, "leaky_bucket": flavour.LeakyBucket}[kind]
        self.own = cls(capacity, number(rate), clock, **left)

    def target(self, step: Step) -> Limiter:
        """Return the limiter that a step is for: a part, if it names one."""
        part = step.take("part", None)
        return self if part is None else self.parts[part]

    async def observe(self, what: str, step: Step) -> Fields:
        """Make a call that does not wait."""
        own = self.own
        if what == "reset_all":
            await call(own.reset)
            return {}
        if what == "bound":
            window, of = seconds(step.take("window")), step.take("of", None)
            return {what: own.bound(window) if of is None else own.bound(window, of)}
        if what == "reconfigure":
            await call(own.reconfigure, **self._limits(step))
            return {}
        if what in ("len", "evicted_live"):
            return {what: len(own) if what == "len" else own.evicted_live}
        key = step.take("key")
        if what in ("allow", "check", "peek"):
            answer = await call(getattr(own, what), key, step.take("cost", 1))
            return {"allowed": answer} if what == "allow" else decision(answer)
        if what == "reset":
            await call(own.reset, key)
            return {}
        if what == "penalise":
            assert await call(own.penalise, key, seconds(step.take("seconds"))) is not False
            return {}
        if what == "give_back":
            await call(own.give_back, key, step.take("cost", 1))
            return {}
        if what == "configure":
            await call(own.configure, key, **self._limits(step))
            return {}
        if what == "unconfigure":
            await call(own.unconfigure, key)
            return {}
        if what == "contains":
            return {what: key in own}
        if what == "queue_size":
            return {what: await call(own.get_queue_size, key)}
        if what in ("tokens", "wait_time"):
            return {what: decimal(await call(getattr(own, f"get_{what}"), key))}
        raise WrongCase(f"nothing is called `{what}` here")

    def _limits(self, step: Step) -> Fields:
        """Take the limits that change out of a step."""
        rate = "leak_rate" if hasattr(self.own, "leak_rate") else "refill_rate"
        given = {"capacity": step.take("capacity", None), "carry": step.take("carry", None)}
        given[rate] = step.take("rate", None)
        if given[rate] is not None:
            given[rate] = number(given[rate])
        return {name: value for name, value in given.items() if value is not None}


def _options(left: Fields, clock: Any, flavour: Flavour) -> Any:
    """Make a strict limiter or a bucket that warms up."""
    if left.pop("kind") == "strict":
        _only(left, {"rate", "burst"})
        strict = limitpal.strict if flavour.name == "sync" else limitpal.async_strict
        return strict(left.pop("rate"), clock=clock, **left)
    _only(left, {"capacity", "rate", "warm_up", "cold_factor"})
    cold = number(left.get("cold_factor", "3"))
    capacity, rate, warm_up = left["capacity"], number(left["rate"]), seconds(left["warm_up"])
    return flavour.window("WarmUpBucket")(capacity, rate, warm_up, clock, cold_factor=cold)


def decision(answer: limitpal.Decision) -> Fields:
    """Return a decision as a step writes it."""
    assert bool(answer) is answer.allowed
    return {
        "allowed": answer.allowed,
        "limit": answer.limit,
        "remaining": answer.remaining,
        "retry_after": decimal(answer.retry_after),
        "reset_after": decimal(answer.reset_after),
    }


def ask(step: Step) -> Fields:
    """Take the arguments of an `acquire` out of a step."""
    asked = {"key": step.take("key"), "cost": step.take("cost", 1)}
    timeout = step.take("timeout", None)
    return asked if timeout is None else {**asked, "timeout": seconds(timeout)}


def delays(spec: Fields) -> Any:
    """Make the delays of a case."""
    if spec["kind"] == "list":
        _only(spec, {"kind", "delays"})
        return [seconds(delay) for delay in spec["delays"]]
    kind = getattr(limitpal, spec["kind"].capitalize())
    return kind(**{name: float(value) for name, value in spec.items() if name != "kind"})


def policy(spec: Fields, **options: Any) -> limitpal.RetryPolicy:
    """Make the retry policy of a case."""
    readers = {
        "max_attempts": int,
        "base_delay": seconds,
        "max_delay": seconds,
        "backoff": number,
        "min_delay": seconds,
        "delays": delays,
        "jitter": lambda text: number(text) if text[0].isdigit() else text,
        "seed": int,
        "max_elapsed": seconds,
    }
    _only(spec, set(readers))
    given = {name: readers[name](value) for name, value in spec.items()}
    return limitpal.RetryPolicy(**given, **options)


def hedge(spec: Fields) -> limitpal.Hedge:
    """Make the hedge of a case."""
    readers = {
        "delay": seconds,
        "max_hedges": int,
        "max_extra_load": number,
        "minimum_per_second": number,
        "window": seconds,
    }
    _only(spec, set(readers))
    return limitpal.Hedge(**{name: readers[name](value) for name, value in spec.items()})


RULES: Any = {
    "consecutive_failures": limitpal.ConsecutiveFailures,
    "failure_rate": limitpal.FailureRate,
    "slow_call_rate": limitpal.SlowCallRate,
}


def _rule(spec: Fields) -> Any:
    """Make a rule of `trip_on`."""
    given = {name: value for name, value in spec.items() if name != "rule"}
    for name in {"window", "slower_than"} & set(given):
        given[name] = seconds(given[name])
    if "share" in given:
        given["share"] = float(given["share"])
    return RULES[spec["rule"]](**given)


def breaker(spec: Fields, clock: Any, **options: Any) -> limitpal.CircuitBreaker:
    """Make the circuit breaker of a case."""
    times = {"recovery_timeout", "half_open_timeout", "ramp_step", "max_recovery_timeout"}
    counts = {"failure_threshold", "half_open_success_threshold"}
    _only(spec, times | counts | {"trip_on", "ramp", "recovery_backoff"})
    given = {name: seconds(value) if name in times else value for name, value in spec.items()}
    if "trip_on" in spec:
        given["trip_on"] = [_rule(rule) for rule in spec["trip_on"]]
    if "ramp" in spec:
        given["ramp"] = [float(share) for share in spec["ramp"]]
    if "recovery_backoff" in spec:
        given["recovery_backoff"] = float(spec["recovery_backoff"])
    return limitpal.CircuitBreaker(clock=clock, **given, **options)


def move_to(clock: limitpal.MockClock, at: int) -> None:
    """Move a mock clock forward to `at` nanoseconds."""
    left = at - now(clock)
    if left < 0:
        raise WrongCase(f"it is {written(now(clock))} already")
    clock.advance(left / 1e9)


def now(clock: Any) -> int:
    """Return what a clock shows, in nanoseconds."""
    reading = clock.now()
    assert math.isfinite(reading)
    return round(reading * 1e9)


def _only(fields: Fields, known: set[str]) -> None:
    if not set(fields) <= known:
        raise WrongCase(f"there are fields besides {sorted(known)}: {fields}")
