"""The conformance cases of the limits that find themselves, run through the public names."""

from __future__ import annotations

from typing import Any

import pytest

import limitpal
from conformance_cases import Fields, Step, WrongCase, decimal, load, nanos, number, seconds
from conformance_parts import decision, move_to
from driving import Flavour, call


def cases(name: str) -> Any:
    """Return the cases of a file as parameters."""
    found = [pytest.param(case, id=case["name"]) for case in load(name)]
    return pytest.mark.parametrize("case", found)


def throttle_of(spec: Fields, clock: limitpal.MockClock) -> limitpal.ClientThrottle:
    """Make the throttle of a case."""
    readers = {"k": number, "window": seconds, "max_rejection": number, "seed": int}
    given = {name: readers[name](value) for name, value in spec.items()}
    return limitpal.ClientThrottle(clock=clock, **given)


@cases("client_throttle")
def test_throttles_count_and_refuse_as_written(case: Fields) -> None:
    """What is counted, and who is let through, is what is written down."""
    clock = limitpal.MockClock()
    throttle = throttle_of(case["throttle"], clock)
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        times = step.take("times", 1)
        move_to(clock, at)
        if what == "attempt":
            step.compare({"allowed": sum(throttle.allow() for _ in range(times))})
        elif what == "read":
            probability = decimal(throttle.rejection_probability)
            counted = {"requests": throttle.requests, "accepts": throttle.accepts}
            step.compare({**counted, "probability": probability})
        else:
            assert what in ("record_accept", "record_rejection", "reset")
            for _ in range(times):
                getattr(throttle, what)()
            step.compare({})


@cases("adaptive_concurrency")
def test_adaptive_limits_move_as_written(case: Fields) -> None:
    """After each round the limit is the one that is written down."""
    clock = limitpal.MockClock()
    spec = dict(case["adaptive"])
    if "partitions" in spec:
        spec["partitions"] = {name: number(it) for name, it in spec["partitions"].items()}
    limiter, held = limitpal.AdaptiveConcurrency(clock=clock, **spec), []
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        move_to(clock, at)
        if what == "hold":
            partition = step.take("partition", None)
            permits = [limiter.try_acquire(partition) for _ in range(step.take("calls"))]
            admitted = [permit for permit in permits if permit is not None]
            held += admitted
            step.compare({"admitted": len(admitted), "in_flight": limiter.in_flight})
            continue
        assert what == "round"
        permits = [limiter.try_acquire() for _ in range(step.take("calls"))]
        admitted = [permit for permit in permits if permit is not None]
        clock.advance(seconds(step.take("took")))
        end = step.take("end")
        for permit in admitted:
            getattr(permit, end)()
        step.compare({"limit": limiter.limit, "admitted": len(admitted)})


def rate_of(spec: Fields, flavour: Flavour, clock: limitpal.MockClock) -> Any:
    """Make the adaptive limiter of a case."""
    readers = {"algorithm": str, "burst": int, "cooldown": seconds, "forget_after": seconds}
    given = {name: readers.get(name, number)(value) for name, value in spec.items()}
    return flavour.named("AdaptiveLimiter")(clock=clock, **given)


@cases("adaptive_limiter")
async def test_adaptive_rates_move_as_written(case: Fields, flavour: Flavour) -> None:
    """After each call the rate and the permits are those that are written down."""
    clock = limitpal.MockClock()
    limiter = rate_of(case["adaptive"], flavour, clock)
    for step in map(Step, case["steps"]):
        what, at = step.take("do"), nanos(step.take("at"))
        move_to(clock, at)
        if what == "bound":
            step.compare({what: limiter.bound(seconds(step.take("window")))})
            continue
        key, cost, times = step.take("key"), step.take("cost", 1), step.take("times", 1)
        if what == "read":
            step.compare({"rate": decimal(limiter.rate(key))})
        elif what == "allow":
            step.compare({"allowed": await call(limiter.allow, key, cost)})
        elif what in ("check", "peek"):
            step.compare(decision(await call(getattr(limiter, what), key, cost)))
        else:
            assert what in ("record_success", "record_throttled")
            for _ in range(times):
                getattr(limiter, what)(key)
            step.compare({})


def test_a_wrong_case_fails() -> None:
    """The net is not empty."""
    case = dict(load("client_throttle")[0])
    case["steps"] = [*case["steps"][:-1], {**case["steps"][-1], "accepts": 21}]

    with pytest.raises(WrongCase, match="accepts"):
        test_throttles_count_and_refuse_as_written(case)
