"""`allow_many`: the answers of one `allow` after another, at one reading of the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limitpal import (
    AsyncCompositeLimiter,
    AsyncTokenBucket,
    CompositeLimiter,
    LeakyBucket,
    MockClock,
    TokenBucket,
)

KEYS = st.lists(st.sampled_from(["ann", "bob", "cid", "dan"]), max_size=30)


@given(KEYS, st.integers(1, 3))
def test_it_answers_as_one_after_another(keys: list[str], cost: int) -> None:
    """Whatever the keys and the cost."""
    clock = MockClock()
    many, one = (LeakyBucket(capacity=4, leak_rate=3, clock=clock) for _ in range(2))

    assert many.allow_many(keys, cost) == [one.allow(key, cost) for key in keys]
    clock.advance(0.5)
    assert many.allow_many(keys) == [one.allow(key) for key in keys]


@given(KEYS)
def test_a_small_store_forgets_as_one_after_another(keys: list[str]) -> None:
    """Keys that push each other out are asked in their order."""
    clock = MockClock()
    many, one = (
        TokenBucket(capacity=2, refill_rate=1, max_buckets=2, clock=clock) for _ in range(2)
    )

    assert many.allow_many(keys) == [one.allow(key) for key in keys]
    assert many.evicted_live == one.evicted_live


def test_the_async_twins_answer_alike() -> None:
    """Bucket and composite, awaited."""

    async def ask() -> list[list[bool]]:
        clock = MockClock()
        bucket = AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock)
        whole = AsyncTokenBucket(capacity=2, refill_rate=1, clock=clock, per_key=False)
        both = AsyncCompositeLimiter([bucket, whole])
        return [await both.allow_many(["a", "a", "b", "c"]), await bucket.allow_many(["a", "c"])]

    assert asyncio.run(ask()) == [[True, False, True, False], [False, True]]


def test_a_composite_asks_one_after_another() -> None:
    """All or nothing for each key."""
    clock = MockClock()
    bucket = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    whole = TokenBucket(capacity=2, refill_rate=1, clock=clock, per_key=False)

    both = CompositeLimiter([bucket, whole])
    assert both.allow_many(["a", "a", "b", "c"]) == [True, False, True, False]


def test_the_clock_is_read_once() -> None:
    """A clock of the user tells how often."""

    class Counting(MockClock):
        readings = 0

        def now(self) -> float:
            self.readings += 1
            return super().now()

    clock = Counting()
    limiter = TokenBucket(capacity=1, refill_rate=1, clock=clock)
    limiter.allow_many(range(1000))
    assert clock.readings == 1


def test_any_iterable_of_keys_will_do() -> None:
    """A generator, and nothing at all."""

    def keys() -> Iterator[str | int]:
        yield "7"
        yield 7

    limiter = TokenBucket(capacity=1, refill_rate=1)
    assert limiter.allow_many(keys()) == [True, False]
    assert limiter.allow_many(()) == []


def test_a_text_is_one_key() -> None:
    """Its letters would be asked one by one."""
    limiter = TokenBucket(capacity=1, refill_rate=1)
    with pytest.raises(TypeError, match=r"keys is 'user:7' \(str\); give an iterable of keys"):
        limiter.allow_many("user:7")
    with pytest.raises(TypeError, match=r"keys is 7 \(int\); give an iterable of keys"):
        limiter.allow_many(7)  # type: ignore[arg-type]


def test_async_composites_know_a_text_too() -> None:
    """Their loop is in Python."""
    limiter = AsyncCompositeLimiter([AsyncTokenBucket(capacity=1, refill_rate=1)])
    with pytest.raises(TypeError, match=r"keys is 'user:7' \(str\)"):
        asyncio.run(limiter.allow_many("user:7"))


def test_a_bad_key_takes_nothing_from_any() -> None:
    """All keys are read before any is asked."""
    limiter = TokenBucket(capacity=1, refill_rate=1)
    with pytest.raises(TypeError, match="key is None"):
        limiter.allow_many(["ann", None])  # type: ignore[list-item]
    assert limiter.allow("ann")


def test_bytes_are_one_key_too() -> None:
    """Their numbers would be asked one by one."""
    limiter = TokenBucket(capacity=1, refill_rate=1)
    for keys in (b"ab", bytearray(b"ab")):
        with pytest.raises(TypeError, match="give an iterable of keys"):
            limiter.allow_many(keys)


def test_what_says_it_is_endless_is_not_believed() -> None:
    """A length is a hint, and memory is taken for what comes."""

    class Boastful(list[str]):
        def __len__(self) -> int:
            return 2**40

    limiter = TokenBucket(capacity=1, refill_rate=1)
    assert limiter.allow_many(Boastful(["ann", "bob"])) == [True, True]


def test_a_bad_key_takes_nothing_from_a_composite_either() -> None:
    """Sync and async."""
    bucket = TokenBucket(capacity=1, refill_rate=1)
    with pytest.raises(TypeError, match="key is None"):
        CompositeLimiter([bucket]).allow_many(["ann", None])  # type: ignore[list-item]
    assert bucket.allow("ann")

    async def ask() -> bool:
        bucket = AsyncTokenBucket(capacity=1, refill_rate=1)
        with pytest.raises(TypeError, match="key is None"):
            await AsyncCompositeLimiter([bucket]).allow_many(["ann", None])  # type: ignore[list-item]
        return await bucket.allow("ann")

    assert asyncio.run(ask())


def test_a_list_of_another_kind_is_asked_for_its_items() -> None:
    """And what has items alone is an iterable too."""

    class Backwards(list[str]):
        def __iter__(self) -> Iterator[str]:
            return reversed(self)

    class Items:
        def __getitem__(self, rank: int) -> str:
            return ["ann", "ann"][rank]

    limiter = TokenBucket(capacity=1, refill_rate=1)
    assert limiter.allow_many(Backwards(["bob", "cid", "bob"])) == [True, True, False]
    assert limiter.allow_many(Items()) == [True, False]  # type: ignore[arg-type]
