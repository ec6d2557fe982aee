"""Keys are text, each with its own bucket, unless told otherwise."""

from __future__ import annotations

import pytest

from driving import Flavour, call
from models import nanos

KINDS = ["token", "leaky"]
METHODS = ["allow", "acquire", "check", "peek", "reset"]
TEXTS = [
    "",
    " ",
    "user:7",
    "\x00",
    "a\x00b",
    "é",
    "e\u0301",
    "ключ",
    "鍵",
    "🔑",
    "\U0010ffff",
    "\n",
    "x" * 22,
    "x" * 23,
    "x" * 1_000_000,
    "🔑" * 250_000,
]
NOT_TEXT = [
    (None, "None"),
    (b"k", "bytes"),
    (1.5, "float"),
    (True, "bool"),
    (("a", "b"), "tuple"),
    (["a"], "list"),
    (object(), "object"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_key_has_its_own_bucket(flavour: Flavour, clock, kind):
    """Draining one key leaves the others whole."""
    limiter = flavour.bucket(kind, 2, 1, clock=clock)

    assert await call(limiter.allow, "user:1", cost=2)

    assert not await call(limiter.allow, "user:1")
    assert await call(limiter.allow, "user:2", cost=2)
    assert await call(limiter.allow, "ip:192.168.1.1", cost=2)


async def test_any_text_is_a_key(flavour: Flavour, clock):
    """Empty, a megabyte, NUL, composed and decomposed: all keys, all different."""
    limiter = flavour.TokenBucket(1, 1, clock=clock)

    for key in TEXTS:
        assert await call(limiter.allow, key), repr(key[:30])
    for key in TEXTS:
        assert not await call(limiter.allow, key), repr(key[:30])
        assert key in limiter

    assert len(limiter) == len(TEXTS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
async def test_a_lone_surrogate_gets_a_clear_error(flavour: Flavour, clock, kind, method):
    """Text that is no Unicode is refused with words, and nothing is remembered of it."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    with pytest.raises((ValueError, TypeError), match=r"(?i)surrogate|key"):
        await call(getattr(limiter, method), "a\ud800b")

    assert len(limiter) == 0
    assert await call(limiter.allow, "ab")


@pytest.mark.parametrize("number", [0, 7, -7, 2**31, 2**63, 2**64, 10**100])
async def test_an_int_means_its_decimal_text(flavour: Flavour, clock, number):
    """`allow(7)` and `allow("7")` ask the same bucket."""
    limiter = flavour.TokenBucket(2, 1, clock=clock)

    assert await call(limiter.allow, number)
    assert await call(limiter.allow, str(number))

    assert not await call(limiter.allow, number)
    assert number in limiter
    assert str(number) in limiter
    assert len(limiter) == 1
    assert await call(limiter.get_tokens, number) == 0.0
    await call(limiter.reset, number)
    assert len(limiter) == 0


async def test_a_subclass_of_str_is_its_text(flavour: Flavour, clock):
    """A str of another class, an enumeration's value say, is the text it is."""

    class Name(str):
        __slots__ = ()

    limiter = flavour.TokenBucket(1, 1, clock=clock)

    assert await call(limiter.allow, Name("k"))
    assert not await call(limiter.allow, "k")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("key", "named"), NOT_TEXT, ids=[name for _, name in NOT_TEXT])
async def test_any_other_key_is_a_type_error_that_names_it(
    flavour: Flavour, clock, kind, key, named
):
    """Neither text nor int: TypeError with the type's name, from every call."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)
    methods = METHODS if key is not None else METHODS[:-1]  # reset(None) means all

    for method in methods:
        with pytest.raises(TypeError, match=named):
            await call(getattr(limiter, method), key)
    assert len(limiter) == 0


@pytest.mark.parametrize("key", [b"k", 1.5, True, ("a",)])
async def test_in_asks_for_a_key_too(flavour: Flavour, clock, key):
    """`x in limiter` with what is no key is a TypeError, not a quiet False."""
    limiter = flavour.TokenBucket(1, 1, clock=clock)

    with pytest.raises(TypeError):
        key in limiter  # noqa: B015


@pytest.mark.parametrize("kind", KINDS)
async def test_per_key_false_is_one_bucket_for_everybody(flavour: Flavour, clock, kind):
    """All keys share one quota; the store holds one bucket."""
    limiter = flavour.bucket(kind, 3, 1, clock=clock, per_key=False)

    assert [await call(limiter.allow, f"user:{n}") for n in range(5)] == [True] * 3 + [False] * 2
    assert len(limiter) == 1
    assert (await call(limiter.peek, "anybody")).remaining == 0
    await call(limiter.reset, "whoever")

    assert await call(limiter.allow, "user:9", cost=3)


async def test_per_key_false_makes_everybody_wait_in_one_line(flavour: Flavour, clock):
    """`acquire` under different keys waits for the same quota."""
    limiter = flavour.LeakyBucket(5, 10, clock=clock, per_key=False)
    went = []

    for n in range(5):
        await call(limiter.acquire, f"job:{n}")
        went.append(nanos(clock.now()))

    assert went == [n * 100_000_000 for n in range(5)]


@pytest.mark.parametrize("kind", KINDS)
async def test_key_by_maps_the_callers_key_to_the_buckets(flavour: Flavour, clock, kind):
    """Users of one tenant share a bucket; every call goes through the mapping."""
    tenants = {"user:1": "acme", "user:2": "acme", "user:3": "other"}
    limiter = flavour.bucket(kind, 2, 1, clock=clock, key_by=tenants.__getitem__)

    assert await call(limiter.allow, "user:1")
    await call(limiter.acquire, "user:2", timeout=5)
    assert (await call(limiter.peek, "user:1")).remaining < 2
    assert await call(limiter.allow, "user:3", cost=2)

    assert len(limiter) == 2
    assert "user:2" in limiter
    await call(limiter.reset, "user:2")
    assert (await call(limiter.check, "user:1", cost=2)).allowed


@pytest.mark.parametrize("kind", KINDS)
async def test_what_key_by_returns_is_a_key_too(flavour: Flavour, clock, kind):
    """An int from `key_by` is its text; anything else but text is a TypeError that names it."""
    numbered = flavour.bucket(kind, 1, 1, clock=clock, key_by=len)
    wrong = flavour.bucket(kind, 1, 1, clock=clock, key_by=lambda key: None)

    assert await call(numbered.allow, "ab")
    assert not await call(numbered.allow, "xy")
    assert await call(numbered.allow, "abc")
    with pytest.raises(TypeError, match="None"):
        await call(wrong.allow, "k")


async def test_an_error_of_key_by_comes_out_unchanged(flavour: Flavour, clock):
    """What `key_by` raises reaches the caller as it is, and the limiter works on."""
    error = LookupError("no such tenant")

    def tenant(key: str) -> str:
        if key == "ghost":
            raise error
        return key

    limiter = flavour.TokenBucket(1, 1, clock=clock, key_by=tenant)

    for method in (limiter.allow, limiter.acquire, limiter.check, limiter.peek):
        with pytest.raises(LookupError) as caught:
            await call(method, "ghost")
        assert caught.value is error
    assert await call(limiter.allow, "k")
    assert len(limiter) == 1
