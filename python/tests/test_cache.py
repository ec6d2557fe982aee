"""A cache: what is kept, how long, and what tells calls apart."""

from __future__ import annotations

import functools
import gc
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from driving import BOTH, Flavour, call
from helpers import caught
from limitpal import (
    Cache,
    CacheStats,
    CircuitBreaker,
    Fallback,
    InvalidConfigError,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
)


class Counted:
    """A function that says how often it was called, and fails when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = False

    def __call__(self, *_args: Any, **_kwargs: Any) -> int:
        self.calls += 1
        if self.fails:
            raise TimeoutError("down")
        return self.calls


async def test_a_value_is_fresh_for_its_time_and_not_at_its_end(flavour: Flavour):
    """By the executor's clock; a hit is no run."""
    clock, function = MockClock(), Counted()
    cache = Cache(10)
    executor = flavour.ResilientExecutor(cache=cache, clock=clock)

    assert await call(executor.run, "k", function) == 1
    clock.advance(9.999)
    assert await call(executor.run, "k", function) == 1
    assert await call(executor.run, "other", function) == 2
    clock.advance(0.001)
    assert await call(executor.run, "k", function) == 3

    assert cache.stats() == CacheStats(hits=1, misses=3, coalesced=0, stale=0)
    assert (executor.stats().calls, len(cache)) == (3, 2)


async def test_none_is_a_value_and_an_error_is_not_kept(flavour: Flavour):
    """And what is kept is the object itself."""
    executor = flavour.ResilientExecutor(cache=Cache(10))
    answers: list[Any] = [KeyError(), None, 7]

    def function() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert isinstance(await caught(call(executor.run, "k", function)), KeyError)
    assert await call(executor.run, "k", function) is None
    assert await call(executor.run, "k", function) is None
    assert answers == [7]


async def test_a_stale_value_is_better_than_an_error_or_a_refusal(flavour: Flavour):
    """Before the fallback, and for its time only."""
    clock, function = MockClock(), Counted()
    cache, breaker = Cache(10, stale_for=5), CircuitBreaker(1, 100.0, clock=clock)
    executor = flavour.ResilientExecutor(
        circuit_breaker=breaker, cache=cache, fallback=Fallback("nothing")
    )
    run = functools.partial(call, executor.run, "k", function)

    assert await run() == 1
    function.fails = True
    clock.advance(14.999)
    assert await run() == 1
    assert breaker.state == "open"
    assert await run() == 1
    clock.advance(0.001)
    assert await run() == "nothing"

    stats = executor.stats()
    assert (cache.stats().stale, stats.refused_by_breaker, stats.fallbacks) == (2, 2, 1)


async def test_a_stale_value_does_not_stand_in_for_ctrl_c_or_a_mistake(flavour: Flavour):
    """These come out."""
    clock = MockClock()
    executor = flavour.ResilientExecutor(cache=Cache(1, stale_for=100, key=str), clock=clock)
    errors: list[Any] = []

    def function(_number: int) -> int:
        if errors:
            raise errors.pop()
        return 1

    await call(executor.run, "k", function, 7)
    clock.advance(1)
    for error in (KeyboardInterrupt, InvalidConfigError):
        errors.append(error)
        with pytest.raises(error):
            await call(executor.run, "k", function, 7)
    errors.append(TimeoutError)
    assert await call(executor.run, "k", function, 7) == 1


async def test_a_hit_takes_no_quota_no_place_and_no_budget(flavour: Flavour):
    """It is answered while the limiter has nothing."""
    clock = MockClock()
    bucket = flavour.TokenBucket(1, 0.001, clock=clock)
    executor = flavour.ResilientExecutor(bucket, RetryPolicy(), cache=Cache(60), acquire_timeout=0)
    function = Counted()
    for _ in range(3):
        assert await call(executor.run, "k", function) == 1
    assert await call(bucket.get_tokens, "k") < 0.1


async def test_a_call_is_the_runs_key_the_function_and_all_arguments(flavour: Flavour):
    """With their types: no two that may differ are mixed up."""
    cache = Cache(60)
    executor = flavour.ResilientExecutor(cache=cache)
    seen: list[Any] = []

    def first(*args: Any, **kwargs: Any) -> Any:
        seen.append((args, kwargs))
        return len(seen)

    def second(*args: Any, **kwargs: Any) -> Any:
        return first(*args, **kwargs)

    class Thing:
        def method(self) -> Any:
            return first()

    one, two = Thing(), Thing()
    calls: list[Any] = [
        ("k", first), ("l", first), ("k", second), ("k", first, 1), ("k", first, True),
        ("k", first, 1.0), ("k", first, "1"), ("k", first, -1), ("k", first, -2),
        ("k", first, (1,)), ("k", one.method), ("k", two.method), (7, first), ("k", first, None),
    ]  # fmt: skip
    for number, arguments in enumerate(calls, 1):
        assert await call(executor.run, *arguments) == number
    for number, arguments in enumerate(calls, 1):
        assert await call(executor.run, *arguments) == number
    assert await call(executor.run, "7", first) == 13, "a number is its decimal text"
    assert await call(executor.run, "k", first, a=1, b=2) == 15
    assert await call(executor.run, "k", first, b=2, a=1) == 15
    assert await call(executor.run, "k", first, a=2, b=1) == 16
    assert cache.stats().misses == 16


async def test_keys_of_the_same_hash_are_told_apart(flavour: Flavour):
    """Up to four of one hash are kept; a fifth takes a place and mixes nothing up."""

    class Same:
        def __init__(self, number: int) -> None:
            self.number = number

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same) and self.number == other.number

    executor = flavour.ResilientExecutor(cache=Cache(60, key=lambda same: same))
    for _ in range(3):
        for number in range(6):
            answer = await call(executor.run, "k", lambda same: same.number, Same(number))
            assert answer == number


async def test_a_key_function_says_what_is_the_same(flavour: Flavour):
    """For functions made anew too; functions of different names are never mixed up."""
    cache = Cache(60, key=lambda user, **_: user["id"])
    executor = flavour.ResilientExecutor(cache=cache)
    counted = Counted()

    def fetch(user: Any, fresh: bool = False) -> Any:
        return counted()

    def other(user: Any) -> Any:
        return counted()

    assert await call(executor.run, "k", fetch, {"id": 7}) == 1
    assert await call(executor.run, "l", fetch, {"id": 7}, fresh=True) == 1
    assert await call(executor.run, "k", functools.partial(fetch, fresh=True), {"id": 7}) == 1
    assert await call(executor.run, "k", other, {"id": 7}) == 2
    for _ in range(2):
        assert await call(executor.run, "k", lambda user: counted(), {"id": 8}) == 3
    assert cache.invalidate(7)
    assert not cache.invalidate(7)
    assert await call(executor.run, "k", fetch, {"id": 7}) == 4
    assert await call(executor.run, "k", other, {"id": 7}) == 5
    assert await call(executor.run, "k", lambda user: counted(), {"id": 8}) == 3


async def test_what_cannot_be_a_key_is_said_and_no_fallback_hides_it(flavour: Flavour):
    """A list is no key."""
    executor = flavour.ResilientExecutor(cache=Cache(60), fallback=Fallback(0))
    with pytest.raises(TypeError, match=r"unhashable type: 'list'; give Cache\(key="):
        await call(executor.run, "k", sum, [1, 2])
    with pytest.raises(TypeError, match=r"invalidate_call\(\)"):
        Cache(60).invalidate("k")


async def test_one_call_is_forgotten_as_it_was_made(flavour: Flavour):
    """Or all are."""
    cache, function = Cache(60), Counted()
    executor = flavour.ResilientExecutor(cache=cache)
    for arguments in ((1,), (2,)):
        await call(executor.run, "k", function, *arguments, named=3)
    assert not cache.invalidate_call("k", function, 1)
    assert cache.invalidate_call("k", function, 1, named=3)
    assert await call(executor.run, "k", function, 1, named=3) == 3
    assert await call(executor.run, "k", function, 2, named=3) == 2
    cache.clear()
    assert len(cache) == 0
    assert await call(executor.run, "k", function, 2, named=3) == 4


async def test_no_more_is_kept_than_fits(flavour: Flavour):
    """What makes room is let go of."""

    class Value:
        pass

    cache = Cache(60, max_entries=3)
    executor = flavour.ResilientExecutor(cache=cache)
    values = []

    def make(_number: int) -> Value:
        value = Value()
        values.append(weakref.ref(value))
        return value

    for number in range(20):
        await call(executor.run, "k", make, number)
    gc.collect()
    assert (len(cache), sum(value() is not None for value in values)) == (3, 3)


async def test_executors_share_a_cache(flavour: Flavour):
    """A cache knows no executor."""
    cache, function = Cache(60), Counted()
    for _ in range(2):
        executor = flavour.ResilientExecutor(cache=cache)
        assert await call(executor.run, "k", function) == 1
    assert await call(ResilientExecutor(cache=cache).run, "k", function) == 1


def test_bad_input_is_refused():
    """It names the parameter and the value."""
    for ttl in (0, -1, float("nan"), float("inf"), "60", None, True):
        with pytest.raises(InvalidConfigError, match="ttl is"):
            Cache(ttl)  # type: ignore[arg-type]
    for most in (0, -1, 1.5, "3", None, 2**32):
        with pytest.raises(InvalidConfigError, match="max_entries is"):
            Cache(1, max_entries=most)  # type: ignore[arg-type]
    for spare in (-1, float("nan"), float("inf"), "3", None):
        with pytest.raises(InvalidConfigError, match="stale_for is"):
            Cache(1, stale_for=spare)  # type: ignore[arg-type]
    with pytest.raises(InvalidConfigError, match="key is 3"):
        Cache(1, key=3)  # type: ignore[arg-type]
    for flavour in BOTH:
        with pytest.raises(InvalidConfigError, match="cache is 3; give a Cache"):
            flavour.ResilientExecutor(cache=3)


def test_it_shows_what_it_is_and_is_not_pickled():
    """In the executor's repr too."""
    cache = Cache(60, stale_for=5)
    assert repr(cache) == "Cache(ttl=60.0, max_entries=1024, stale_for=5.0)"
    assert repr(Cache(0.5, max_entries=1, key=len)).endswith(", key=<built-in function len>)")
    for flavour in BOTH:
        executor = flavour.ResilientExecutor(cache=cache, fallback=Fallback(0))
        assert repr(executor).endswith(f"fallback=Fallback(0), cache={cache!r})")
    with pytest.raises(TypeError, match="live state"):
        pickle.dumps(cache)
    assert bool(cache)


def test_what_is_kept_is_seen_by_the_garbage_collector():
    """A value that refers to its cache, and a key that does."""
    for flavour in BOTH:

        class Holder:
            cache: Any

        holder = Holder()
        holder.cache = Cache(60)
        executor = flavour.ResilientExecutor(cache=holder.cache)
        if flavour is BOTH[0]:
            executor.run("k", lambda holder: holder, holder)
        else:
            with pytest.raises(StopIteration):
                executor.run("k", lambda holder: holder, holder).send(None)
        assert len(holder.cache) == 1
        gone = weakref.ref(holder)
        del holder, executor
        gc.collect()
        assert gone() is None


acts = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 7), st.booleans(), st.integers(0, 11)), max_size=60
)


@given(st.integers(1, 5), acts)
def test_what_is_kept_is_what_was_given_and_no_longer_than_it_may(most, acts):
    """Against a dict of all that was ever given."""
    clock = MockClock()
    cache = Cache(10, stale_for=5, max_entries=most)
    executor = ResilientExecutor(cache=cache, clock=clock)
    given: dict[int, tuple[int, float]] = {}
    fails, rank = False, 0

    def function(_number: int) -> int:
        if fails:
            raise TimeoutError
        return rank

    for pause, number, fails, forget in acts:
        rank += 1
        clock.advance(pause)
        if forget == 0:
            cache.invalidate_call("k", function, number)
            given.pop(number, None)
        before = cache.stats()
        try:
            answer: int | None = executor.run("k", function, number)
        except TimeoutError:
            answer = None
        after = cache.stats()
        known, at = given.get(number, (None, 0.0))
        if after.hits > before.hits:
            assert (answer, clock.now() - at < 10) == (known, True)
        elif not fails:
            assert answer == rank
            given[number] = rank, clock.now()
        elif after.stale > before.stale:
            assert (answer, clock.now() - at < 15) == (known, True)
        else:
            assert answer is None
        assert after.hits + after.misses == rank
        assert after.misses == executor.stats().calls
        assert len(cache) <= most
