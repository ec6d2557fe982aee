"""What makes no sense is refused, by name: at construction, and in every call."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from driving import Flavour, call, drain
from limitpal import InvalidConfigError, LimitPalError, RateLimitExceeded

NAN, INF = math.nan, math.inf
RATE_OF = {"token": "refill_rate", "leaky": "leak_rate"}
KINDS = ["token", "leaky"]

NO_WHOLE_NUMBER = [0, -1, 1.5, NAN, INF, -INF, "10", [], True]
BAD = {
    "capacity": [*NO_WHOLE_NUMBER, None, 0.5, 2**32, 1e300, 10**400, b"1", 1j],
    "rate": [0, -1, -0.5, 1e-10, 1_000_001, 10**400, NAN, INF, -INF, "5", None, [], True, 1j],
    "ttl": [0, -1, -0.0, NAN, INF, -INF, "60", [], True, 1j],
    "max_buckets": [*NO_WHOLE_NUMBER, -(10**400)],
    "cleanup_interval": [*NO_WHOLE_NUMBER, None],
    "clock": [5, "mock", object(), 1.5, []],
    "per_key": ["no", 2, None],
    "evict": ["lru", "", "INHERIT", 1, None, [], b"inherit"],
    "key_by": [5, "tenant", []],
}
NONSENSE = [
    pytest.param(parameter, value, id=f"{parameter}={str(value)[:12]}-{type(value).__name__}")
    for parameter, values in BAD.items()
    for value in values
]
GOOD = [
    {"capacity": 1},
    {"capacity": 10.0},
    {"capacity": 2**32 - 1, "rate": 1e6},
    {"capacity": 1, "rate": 1e-9},
    {"rate": 1},
    {"rate": 1_000_000},
    {"ttl": 1},
    {"ttl": 0.001},
    {"ttl": None},
    {"max_buckets": 1},
    {"max_buckets": None},
    {"cleanup_interval": 1},
    {"key_by": None},
    {"key_by": str.upper},
    {"clock": None},
    {"evict": "inherit"},
    {"per_key": True},
    {"per_key": False},
]


def build(flavour: Flavour, kind: str, **given):
    """Make a bucket with plain arguments, but for those given; `rate` is named for the kind."""
    rate = given.pop("rate", 5)
    return flavour.bucket(kind, **{"capacity": 10, RATE_OF[kind]: rate, **given})


def is_same(left: object, right: object) -> bool:
    """Tell whether the error kept the very value given (NaN is itself)."""
    return left is right or left == right


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("parameter", "value"), NONSENSE)
def test_a_constructor_refuses_nonsense_by_name(flavour: Flavour, kind, parameter, value):
    """InvalidConfigError has the parameter, the value given, the way out, and a text with them."""
    with pytest.raises(InvalidConfigError) as refusal:
        build(flavour, kind, **{parameter: value})

    name = RATE_OF[kind] if parameter == "rate" else parameter
    error = refusal.value
    assert error.parameter == name
    assert name in str(error)
    assert is_same(error.value, value)
    assert error.reason
    assert isinstance(error, ValueError)
    assert isinstance(error, LimitPalError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", GOOD, ids=str)
async def test_a_constructor_takes_what_the_ranges_allow(flavour: Flavour, kind, given):
    """Both ends of each range, and None where the contract has it, make a working limiter."""
    limiter = build(flavour, kind, **given)

    assert await call(limiter.allow, "k")


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_bucket_must_fill_within_a_hundred_years(flavour: Flavour, kind):
    """`capacity / rate` above 100 years is refused, below it is not."""
    build(flavour, kind, capacity=3, rate=1e-9)  # 95 years

    with pytest.raises(InvalidConfigError) as refusal:
        build(flavour, kind, capacity=4, rate=1e-9)  # 127 years

    assert refusal.value.parameter in ("capacity", RATE_OF[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_huge_cap_is_taken_or_refused_with_words(flavour: Flavour, kind):
    """`max_buckets` of any size never overflows."""
    try:
        limiter = build(flavour, kind, max_buckets=10**30)
    except InvalidConfigError as refusal:
        assert refusal.parameter == "max_buckets"
    else:
        assert len(limiter) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_or_unknown_argument_is_a_type_error(flavour: Flavour, kind):
    """Python's own rules hold for the signature."""
    with pytest.raises(TypeError):
        flavour.bucket(kind)
    with pytest.raises(TypeError):
        flavour.bucket(kind, 10)
    with pytest.raises(TypeError, match="burst"):
        flavour.bucket(kind, 10, 5, burst=3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["allow", "acquire", "check", "peek"])
@pytest.mark.parametrize("cost", [0, -1, -(10**30), 1.5, NAN, INF, "1", b"1", True, None, []])
async def test_a_cost_is_a_whole_number_of_at_least_one(
    flavour: Flavour, clock, kind, method, cost
):
    """Any other cost is an InvalidConfigError that names it; nothing is taken or remembered."""
    limiter = flavour.bucket(kind, 3, 1, clock=clock)

    with pytest.raises(InvalidConfigError) as refusal:
        await call(getattr(limiter, method), "k", cost=cost)

    assert refusal.value.parameter == "cost"
    assert "cost" in str(refusal.value)
    assert is_same(refusal.value.value, cost)
    assert len(limiter) == 0
    assert clock.now() == 0.0


@pytest.mark.parametrize("cost", [4, 2**32, 2**64, 10**30])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cost_too_large_for_any_integer_is_only_never_served(
    flavour: Flavour, clock, kind, cost
):
    """A whole number is a cost however large: refused for ever, without an overflow."""
    limiter = flavour.bucket(kind, 3, 1, clock=clock)

    assert await call(limiter.allow, "k", cost=cost) is False
    assert (await call(limiter.check, "k", cost=cost)).retry_after == INF
    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", cost=cost)
    assert refusal.value.retry_after == INF


@pytest.mark.parametrize("kind", KINDS)
async def test_a_timeout_that_is_not_a_number_is_refused_by_name(flavour: Flavour, clock, kind):
    """NaN, text and bytes are no timeout, also when there would be nothing to wait for."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock)

    with pytest.raises(InvalidConfigError) as refusal:
        await call(limiter.acquire, "k", timeout=NAN)
    assert refusal.value.parameter == "timeout"
    for wrong in ("5", b"5", [], 1j):
        with pytest.raises((InvalidConfigError, TypeError), match="timeout"):
            await call(limiter.acquire, "k", timeout=wrong)

    assert await call(limiter.allow, "k", cost=2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", [-1, -0.5, -INF, -(10.0**300)])
async def test_a_negative_timeout_is_zero(flavour: Flavour, clock, kind, timeout):
    """It takes what is there, and refuses what is not, without waiting."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    await call(limiter.acquire, "k", timeout=timeout)
    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=timeout)

    assert refusal.value.retry_after == 1.0
    assert clock.now() == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("timeout", [None, INF, 1e300, 10**30, 1, 1.0])
async def test_any_other_timeout_waits(flavour: Flavour, clock, kind, timeout):
    """None and infinity wait as long as it takes; whole numbers are seconds too."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)
    await drain(limiter)

    await call(limiter.acquire, "k", timeout=timeout)

    assert clock.now() == 1.0


@pytest.mark.parametrize("kind", KINDS)
async def test_other_numbers_that_are_whole_may_be_refused_but_never_crash(flavour: Flavour, kind):
    """A Decimal is taken as the number it is, or refused by name; nothing in between."""
    try:
        limiter = build(flavour, kind, capacity=Decimal(3), rate=Decimal(1))
    except InvalidConfigError as refusal:
        assert refusal.parameter in ("capacity", RATE_OF[kind])
    else:
        assert await call(limiter.allow, "k", cost=3)


@pytest.mark.parametrize("limiters", [[], (), iter(())], ids=["list", "tuple", "iterator"])
def test_a_composite_of_nothing_is_refused(flavour: Flavour, limiters):
    """An empty list is an InvalidConfigError that names `limiters`."""
    with pytest.raises(InvalidConfigError) as refusal:
        flavour.CompositeLimiter(limiters)

    assert refusal.value.parameter == "limiters"
    assert "limiters" in str(refusal.value)


def test_a_composite_refuses_the_same_part_twice(flavour: Flavour):
    """It could never be all or nothing with itself; an equal but other part is fine."""
    part, twin = flavour.TokenBucket(1, 1), flavour.TokenBucket(1, 1)

    with pytest.raises(InvalidConfigError) as refusal:
        flavour.CompositeLimiter([part, twin, part])

    assert refusal.value.parameter == "limiters"
    flavour.CompositeLimiter([part, twin])


@pytest.mark.parametrize("limiters", [None, 5, [None], [5], ["x"], "ab", [object()]], ids=str)
def test_a_composite_refuses_what_is_no_limiter(flavour: Flavour, limiters):
    """A part without `allow` and `acquire` is refused where the composite is made."""
    with pytest.raises((InvalidConfigError, TypeError), match=r"limiters|limiter|allow|iterable"):
        flavour.CompositeLimiter(limiters)


@pytest.mark.parametrize("clock", [5, "mock", object()])
def test_a_composite_refuses_what_is_no_clock(flavour: Flavour, clock):
    """Its `clock` is checked as every other part's is."""
    with pytest.raises(InvalidConfigError) as refusal:
        flavour.CompositeLimiter([flavour.TokenBucket(1, 1)], clock=clock)

    assert refusal.value.parameter == "clock"
