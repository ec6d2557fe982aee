"""Fixed and sliding windows, sync and async: what each admits, how one waits, what is refused."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, BOTH, Flavour, Line, call
from limitpal import InvalidConfigError, MockClock, RateLimitExceeded

KINDS = ["FixedWindow", "SlidingWindowCounter", "SlidingWindowLog"]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_limit_passes_and_no_more_before_retry_after(flavour: Flavour, clock, kind):
    """Refused until `retry_after`, and admitted at it."""
    limiter = flavour.window(kind)(3, 1, clock=clock)
    clock.advance(0.25)

    assert await call(limiter.allow_many, ["k"] * 4) == [True, True, True, False]
    refused = await call(limiter.check, "k")
    assert (refused.allowed, refused.limit, refused.remaining) == (False, 3, 0)
    clock.advance(refused.retry_after - 1e-9)
    assert not await call(limiter.allow, "k")
    clock.advance(1e-9)
    assert await call(limiter.allow, "k")


@pytest.mark.parametrize("kind", KINDS)
async def test_the_settings_are_read_and_shown(flavour: Flavour, clock, kind):
    """`limit`, `per`, and a repr that says how to make it again."""
    limiter = flavour.window(kind)(5.0, 60, clock=clock, max_buckets=9, per_key=False)

    assert (limiter.limit, limiter.per, len(limiter), "k" in limiter) == (5, 60.0, 0, False)
    align = ", align='clock'" if kind == "FixedWindow" else ""
    name = flavour.window(kind).__name__
    assert repr(limiter) == (
        f"{name}(limit=5, per=60.0{align}, clock={clock!r}, max_buckets=9, per_key=False)"
    )


async def test_a_window_from_first_use_begins_with_it(flavour: Flavour, clock):
    """On the clock it ends at a multiple of its length, from first use a length after that."""
    clock.advance(0.25)
    waits = {}
    for align in ("clock", "first_use"):
        limiter = flavour.window("FixedWindow")(1, 1, clock=clock, align=align)
        await call(limiter.allow)
        waits[limiter.align] = (await call(limiter.peek)).retry_after

    assert waits == {"clock": 0.75, "first_use": 1.0}


@pytest.mark.parametrize("kind", KINDS)
async def test_those_who_wait_go_in_order_and_a_place_that_is_left_is_not_lost(clock, kind):
    """Who is cancelled lets the next move up."""
    limiter = ASYNC.window(kind)(2, 1, clock=clock)
    line = Line(limiter, clock)
    for name in "abcdef":
        await line.join(name)
    assert line.order == ["a", "b"]

    await line.leave("c")
    await line.advance(1.0)
    first = line.order[2:]
    await line.advance(4.0, 0.25)

    assert line.order == ["a", "b", "d", "e", "f"]
    assert kind == "SlidingWindowCounter" or first == ["d", "e"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_that_is_too_long_is_refused_at_once(flavour: Flavour, clock, kind):
    """And nothing is taken, and no time passes."""
    limiter = flavour.window(kind)(1, 1, clock=clock)
    assert await call(limiter.allow, "k")
    wait = (await call(limiter.peek, "k")).retry_after

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=wait / 2)

    assert (refusal.value.retry_after, clock.now()) == (wait, 0.0)
    await call(limiter.acquire, "k", timeout=wait)
    assert clock.now() == wait


async def test_windows_and_buckets_join_in_a_composite(flavour: Flavour, clock):
    """A refusal leaves parts of every kind as they were."""
    bucket = flavour.TokenBucket(2, 1, clock=clock)
    log = flavour.window("SlidingWindowLog")(3, 10, clock=clock)
    limiter = flavour.CompositeLimiter([bucket, log])

    assert await call(limiter.allow, "k")
    assert await call(limiter.allow, "k")
    assert not await call(limiter.allow, "k")
    assert (await call(log.peek, "k")).remaining == 1
    await call(limiter.acquire, "k")
    await call(limiter.acquire, "k")
    assert clock.now() == 10.0


@pytest.mark.parametrize("kind", KINDS)
async def test_an_executor_takes_quota_from_a_window(flavour: Flavour, clock, kind):
    """It waits for it, as for a bucket's."""
    limiter = flavour.window(kind)(1, 1, clock=clock)
    name = "ResilientExecutor" if flavour.name == "sync" else "AsyncResilientExecutor"
    executor = getattr(limitpal, name)(limiter=limiter, clock=clock)

    assert await call(executor.run, "k", lambda: 7) == 7
    wait = (await call(limiter.peek, "k")).retry_after
    assert await call(executor.run, "k", lambda: 8) == 8
    assert clock.now() == wait


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("arguments", "parameter", "reason"),
    [
        ((0, 1), "limit", "give a whole number from 1 to 4294967295"),
        ((1.5, 1), "limit", "give a whole number from 1 to 4294967295"),
        ((1, 0), "per", "give a time in seconds above 0, 100 years at most"),
        ((1, float("nan")), "per", "give a time in seconds above 0, 100 years at most"),
        ((1, 4e9), "per", "give a time in seconds above 0, 100 years at most"),
    ],
)
def test_nonsense_is_refused_by_name(flavour: Flavour, kind, arguments, parameter, reason):
    """`limit` and `per` are checked when the limiter is made."""
    with pytest.raises(InvalidConfigError) as error:
        flavour.window(kind)(*arguments)

    assert (error.value.parameter, error.value.reason) == (parameter, reason)


@pytest.mark.parametrize("align", ["minute", None, 1])
def test_what_windows_cannot_be_aligned_to_is_refused(flavour: Flavour, align):
    """With what they can."""
    with pytest.raises(InvalidConfigError, match="give 'clock' or 'first_use'") as error:
        flavour.window("FixedWindow")(1, 1, align=align)

    assert error.value.parameter == "align"


@pytest.mark.parametrize("kind", KINDS)
def test_live_state_is_not_pickled(flavour: Flavour, kind):
    """It says so."""
    with pytest.raises(TypeError, match="has live state"):
        pickle.dumps(flavour.window(kind)(1, 1))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.booleans()), min_size=1, max_size=60),
    flavour=st.sampled_from(BOTH),
    kind=st.sampled_from(
        [("FixedWindow", 8), ("SlidingWindowCounter", 7), ("SlidingWindowLog", 4)]
    ),
)
def test_no_stretch_of_a_window_admits_more_than_is_said(steps, flavour, kind):
    """2 L, 2 L - 1 and L, however `allow` and `acquire` are mixed."""
    (name, most), clock = kind, MockClock()
    limiter, went = flavour.window(name)(4, 1, clock=clock), []

    async def main() -> None:
        for millis, waits in steps:
            clock.advance(millis / 1000)
            if waits:
                await call(limiter.acquire, "k")
            if waits or await call(limiter.allow, "k"):
                went.append(round(clock.now() * 1e9))

    asyncio.run(main())
    assert max((sum(at <= other < at + 10**9 for other in went) for at in went), default=0) <= most
