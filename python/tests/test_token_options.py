"""What a token bucket starts with and may be owed, strict limits, and buckets that warm up."""

from __future__ import annotations

import asyncio
import copy
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import limitpal
from driving import ASYNC, BOTH, Flavour, Line, call
from limitpal import InvalidConfigError, MockClock, Rate


def strict(flavour: Flavour, *args, **options):
    """Make a strict limiter of a colour."""
    make = limitpal.strict if flavour.name == "sync" else limitpal.async_strict
    return make(*args, **options)


async def test_every_key_starts_with_what_came_in_since_the_limiter_was_made(flavour, clock):
    """A late key has more, and once a bucket can be full it starts full."""
    clock.advance(7.0)
    limiter = flavour.TokenBucket(5, 1.0, clock=clock, initial=2)

    assert await call(limiter.allow_many, ["ann"] * 3) == [True, True, False]
    clock.advance(1.0)
    assert [await call(limiter.get_tokens, key) for key in ("ann", "bob")] == [1.0, 3.0]
    clock.advance(9.0)
    assert [await call(limiter.get_tokens, key) for key in ("ann", "cid")] == [5.0, 5.0]


async def test_an_empty_start_makes_the_first_wait(flavour, clock):
    """`initial=0` is a bucket without a burst to begin with."""
    limiter = flavour.TokenBucket.per("2/s", clock=clock, initial=0, per_key=False)

    await call(limiter.acquire, "ann")

    assert clock.now() == 0.5


async def test_a_call_may_leave_some_owed(flavour, clock):
    """It goes when one is there; the next one waits until that is paid."""
    limiter = flavour.TokenBucket(3, 1.0, clock=clock, debt=2)
    assert await call(limiter.allow, "k", cost=2)

    assert await call(limiter.allow, "k", cost=3)

    refused = await call(limiter.check, "k")
    assert (refused.remaining, refused.retry_after) == (0, 3.0)
    assert await call(limiter.get_tokens, "k") == 0.0
    assert (await call(limiter.peek, "k", cost=6)).retry_after == math.inf
    assert limiter.bound(10) == 15


def test_the_options_are_read_and_shown(flavour, clock):
    """A repr has them where they are not the defaults."""
    limiter = flavour.TokenBucket(5, 1.0, clock=clock, initial=0, debt=2.0)
    name = flavour.TokenBucket.__name__

    assert (limiter.initial, limiter.debt) == (0, 2)
    assert repr(limiter) == (
        f"{name}(capacity=5, refill_rate=1.0, initial=0, debt=2, clock={clock!r})"
    )
    assert flavour.TokenBucket(5, 1.0, initial=None).initial == 5


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"initial": 6}, "give a whole number from 0 to the capacity, 5"),
        ({"initial": -1}, "give a whole number from 0 to the capacity, 5"),
        ({"initial": 0.5}, "give a whole number from 0 to the capacity, 5"),
        ({"initial": True}, "give a whole number from 0 to the capacity, 5"),
        ({"initial": "2"}, "give a whole number from 0 to the capacity, 5"),
        ({"debt": -1}, "give a whole number, 0 for none"),
        ({"debt": math.nan}, "give a whole number, 0 for none"),
        ({"debt": None}, "give a whole number, 0 for none"),
        ({"debt": 2**32 - 1}, "lower it, so that capacity + debt is 4294967295 at most"),
    ],
)
def test_nonsense_is_refused_by_name(flavour, options, advice):
    """As everywhere."""
    with pytest.raises(InvalidConfigError) as error:
        flavour.TokenBucket(5, 1.0, **options)

    assert (error.value.parameter, error.value.reason) == (next(iter(options)), advice)


def test_a_clock_that_fails_when_the_start_is_read_says_so(flavour):
    """Its own error comes out unchanged."""

    class Broken:
        def now(self):
            raise OSError("no time")

        def sleep(self, seconds):
            pass

        async def sleep_async(self, seconds):
            pass

    with pytest.raises(OSError, match="no time"):
        flavour.TokenBucket(5, 1.0, clock=Broken(), initial=1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    limit=st.integers(1, 9),
    burst=st.integers(0, 8),
    steps=st.lists(st.tuples(st.integers(0, 1100), st.booleans()), min_size=1, max_size=60),
    flavour=st.sampled_from(BOTH),
)
def test_a_strict_limit_is_kept_in_every_stretch_with_both_its_ends(limit, burst, steps, flavour):
    """However `allow` and `acquire` are mixed."""
    clock, went = MockClock(), []
    options = {"burst": burst} if 0 < burst < limit else {}
    limiter = strict(flavour, f"{limit}/s", clock=clock, **options)

    async def main() -> None:
        for millis, waits in steps:
            clock.advance(millis / 1000)
            if waits:
                await call(limiter.acquire, "k")
            if waits or await call(limiter.allow, "k"):
                went.append(round(clock.now() * 1e9))

    asyncio.run(main())
    worst = max((sum(at <= other <= at + 10**9 for other in went) for at in went), default=0)
    assert worst <= limit == limiter.bound(1)


def test_strict_picks_the_log_and_with_a_burst_a_bucket(flavour):
    """With the other options as they are everywhere."""
    log = strict(flavour, "100/minute", per_key=False)
    bucket = strict(flavour, "100/minute", burst=40, max_buckets=7)

    assert type(log) is flavour.window("SlidingWindowLog")
    assert (log.limit, log.per) == (100, 60.000000001)
    assert type(bucket) is flavour.TokenBucket
    assert (bucket.capacity, bucket.refill_rate) == (40, 1.0)
    assert "per_key=False" in repr(log)
    assert "max_buckets=7" in repr(bucket)


@given(count=st.integers(1, 1000), weeks=st.integers(1, 1600))
def test_a_strict_limit_of_a_long_time_is_strict_as_well(count, weeks):
    """Also where floats have gaps of more than a nanosecond."""
    words = f"{count} per {weeks} weeks"

    assert limitpal.strict(words).bound(Rate.parse(words).per) == count


@pytest.mark.parametrize(
    ("words", "burst", "reason"),
    [
        ("100/minute", 100, "give a whole number from 1 to 99, below the limit"),
        ("100/minute", 0, "give a whole number from 1 to 99, below the limit"),
        ("100/minute", 1.5, "give a whole number from 1 to 4294967295"),
        ("1/s", 1, "leave it out: of a limit of 1 nothing would be left to refill"),
    ],
)
def test_a_burst_that_cannot_be_strict_is_refused(flavour, words, burst, reason):
    """By its name, with what can be."""
    with pytest.raises(InvalidConfigError) as error:
        strict(flavour, words, burst=burst)

    assert (error.value.parameter, error.value.value) == ("burst", burst)
    assert error.value.reason == reason


async def test_a_key_warms_up_under_load_and_cools_when_idle(flavour, clock):
    """A third of the rate at first, all of it after the time of the warm-up."""
    limiter = flavour.window("WarmUpBucket")(1, 10, 8, clock=clock)

    async def load(seconds: float) -> int:
        end, went = clock.now() + seconds, 0
        while clock.now() < end:
            await call(limiter.acquire, "k")
            went += 1
        return went

    cold = await load(2)
    warming = await load(6)
    warm = await load(2)
    assert 6 <= cold < 10
    assert 3 * cold < warming < 60
    assert 19 <= warm <= 21
    clock.advance(30)
    assert abs(await load(2) - cold) <= 1


async def test_refused_until_retry_after_and_admitted_at_it(flavour, clock):
    """To the nanosecond, cold and warm."""
    limiter = flavour.window("WarmUpBucket")(2, 7, 3, clock=clock)
    for _ in range(50):
        refused = await call(limiter.check, "k")
        if not refused:
            clock.advance(refused.retry_after - 1e-9)
            assert not await call(limiter.allow, "k")
            clock.advance(1e-9)
            assert await call(limiter.allow, "k")


async def test_those_who_wait_for_a_cold_bucket_go_in_order(clock):
    """Who is cancelled lets the next move up."""
    limiter = ASYNC.window("WarmUpBucket")(1, 10, 8, clock=clock)
    line = Line(limiter, clock)
    for name in "abcde":
        await line.join(name)

    await line.leave("c")
    await line.advance(2.0, 0.25)

    assert line.order == ["a", "b", "d", "e"]


async def test_a_refused_composite_warms_nothing(flavour, clock):
    """What was taken goes back wholly."""
    warm = flavour.window("WarmUpBucket")(5, 10, 8, clock=clock)
    both = flavour.CompositeLimiter([warm, flavour.TokenBucket(1, 0.001, clock=clock)])
    assert await call(both.allow, "k")
    before = await call(warm.peek, "k")

    for _ in range(100):
        assert not await call(both.allow, "k")

    assert await call(warm.peek, "k") == before


def test_the_settings_of_a_warm_up_are_read_and_shown(flavour, clock):
    """And a copy is refused, as of everything with live state."""
    kind = flavour.window("WarmUpBucket")
    limiter = kind(5, 10, 60, clock=clock, cold_factor=2.5)

    assert (limiter.capacity, limiter.refill_rate) == (5, 10.0)
    assert (limiter.warm_up, limiter.cold_factor) == (60.0, 2.5)
    assert repr(limiter) == (
        f"{kind.__name__}(capacity=5, refill_rate=10.0, warm_up=60.0, cold_factor=2.5, "
        f"clock={clock!r})"
    )
    with pytest.raises(TypeError, match="has live state"):
        copy.copy(limiter)


@pytest.mark.parametrize(
    ("arguments", "cold_factor", "parameter"),
    [
        ((0, 10, 60), 3, "capacity"),
        ((5, 0, 60), 3, "refill_rate"),
        ((5, 10, 0), 3, "warm_up"),
        ((5, 10, 31 * 86_400), 3, "warm_up"),
        ((5, 10, "60"), 3, "warm_up"),
        ((5, 10, 60), 1, "cold_factor"),
        ((5, 10, 60), math.nan, "cold_factor"),
        ((5, 10, 60), None, "cold_factor"),
    ],
)
def test_a_warm_up_of_nonsense_is_refused_by_name(flavour, arguments, cold_factor, parameter):
    """`warm_up` and `cold_factor` with their ranges."""
    with pytest.raises(InvalidConfigError) as error:
        flavour.window("WarmUpBucket")(*arguments, cold_factor=cold_factor)

    assert error.value.parameter == parameter
