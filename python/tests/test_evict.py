"""What becomes of a newcomer where every place is taken: `evict`, for every limiter."""

from __future__ import annotations

from typing import Any

import pytest

from driving import ASYNC, Flavour, Line, call
from limitpal import InvalidConfigError, RateLimitExceeded

KINDS = ["token", "leaky", "FixedWindow", "SlidingWindowCounter", "SlidingWindowLog"]
LIMIT, PER = 4, 12.0


def make(flavour: Flavour, kind: str, clock: Any, **options: Any) -> Any:
    """Make a limiter that lets four pass in about twelve seconds."""
    if kind in ("token", "leaky"):
        return flavour.bucket(kind, LIMIT, LIMIT / PER, clock=clock, **options)
    return flavour.window(kind)(LIMIT, PER, clock, **options)


async def drained(flavour: Flavour, kind: str, clock: Any, **options: Any) -> Any:
    """Make one with two places, both taken by keys that have nothing left."""
    limiter = make(flavour, kind, clock, max_buckets=2, **options)
    for key in ("ann", "bob"):
        assert await call(limiter.allow, key, cost=LIMIT)
    return limiter


@pytest.mark.parametrize("kind", KINDS)
async def test_by_default_a_newcomer_starts_as_new(flavour: Flavour, clock, kind):
    """It takes the place of the one nearest to new, which is counted."""
    limiter = await drained(flavour, kind, clock)

    for n in range(20):
        assert await call(limiter.allow, f"stranger {n}", cost=LIMIT)

    assert (limiter.evicted_live, limiter.refused_new, len(limiter)) == (20, 0, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_newcomer_is_refused_until_one_is_as_new(flavour: Flavour, clock, kind):
    """Its `retry_after` is exact, for `allow` and for `acquire`; those who are known stay."""
    limiter = await drained(flavour, kind, clock, evict="refuse_new")
    assert not await call(limiter.allow, "cid")
    peeked = await call(limiter.peek, "cid")
    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "cid")

    assert limiter.refused_new == 2
    assert peeked.retry_after == refusal.value.retry_after == peeked.retry_after
    assert "cid" not in limiter
    assert limiter.evicted_live == 0
    clock.advance(peeked.retry_after - 0.001)
    assert not await call(limiter.allow, "cid")
    clock.advance(0.001)
    assert await call(limiter.allow, "cid", cost=LIMIT)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_heir_has_what_its_victim_left(flavour: Flavour, clock, kind):
    """It takes over the bucket nearest to new as it is; refused, it takes nobody's place."""
    limiter = make(flavour, kind, clock, max_buckets=1, evict="inherit")
    assert await call(limiter.allow, "ann", cost=LIMIT - 1)

    assert not await call(limiter.allow, "bob", cost=2)
    assert "ann" in limiter
    assert (await call(limiter.check, "cid")).remaining == 0
    assert (limiter.evicted_live, limiter.refused_new) == (1, 0)
    assert "ann" not in limiter
    assert not await call(limiter.allow, "ann"), "it is a newcomer, and inherits as well"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evict", ["refuse_new", "inherit"])
@pytest.mark.parametrize("places", [5, 2000])
async def test_a_flood_gains_nothing(flavour: Flavour, clock, kind, evict, places):
    """However many keys it has, it gets what so many as are remembered may have."""
    limiter = make(flavour, kind, clock, max_buckets=places, evict=evict)
    admitted = 0

    for n in range(4 * places):
        admitted += sum([await call(limiter.allow, f"stranger {n}") for _ in range(LIMIT)])
        if n % places == places - 1:
            clock.advance(PER / 4)

    assert LIMIT * places <= admitted <= places * limiter.bound(0.75 * PER)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_heir_waits_in_its_victims_bucket(still, kind):
    """What the victim took is waited for; who would wait too long takes nobody's place."""
    limiter = await drained(ASYNC, kind, still, evict="inherit")
    with pytest.raises(RateLimitExceeded) as refusal:
        await limiter.acquire("cid", timeout=0)
    wait = refusal.value.retry_after
    assert wait > 0
    assert limiter.evicted_live == 0

    line = Line(limiter, still)
    await line.join("heir", key="cid")
    assert (limiter.evicted_live, "cid" in limiter) == (1, True)
    await line.advance(wait)
    assert line.seconds == {"heir": wait}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_policy_is_shown_and_a_wrong_one_refused(flavour: Flavour, clock, kind):
    """The message names the three; the default is not shown."""
    limiter = make(flavour, kind, clock, max_buckets=2, evict="refuse_new")
    assert "max_buckets=2, evict='refuse_new'" in repr(limiter)
    assert "evict" not in repr(make(flavour, kind, clock, evict="nearest_new"))

    with pytest.raises(InvalidConfigError) as refusal:
        make(flavour, kind, clock, evict="lru")
    assert str(refusal.value) == ("evict is 'lru'; give 'nearest_new', 'refuse_new' or 'inherit'")
    assert (refusal.value.parameter, refusal.value.value) == ("evict", "lru")
