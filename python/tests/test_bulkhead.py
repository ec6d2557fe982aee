"""A bulkhead alone: who comes in, who waits, who is refused."""

from __future__ import annotations

import asyncio
import threading

import pytest

from driving import BOTH, PATIENCE, settle
from limitpal import (
    Bulkhead,
    BulkheadFull,
    InvalidConfigError,
    LimitPalError,
    MockClock,
    RateLimitExceeded,
)


def test_it_is_given_back_at_the_end_of_each_form():
    """`with`, `acquire`, `call` and the decorator; and where the block raises."""
    bulkhead = Bulkhead(1)

    @bulkhead
    def inside() -> int:
        return bulkhead.in_flight()

    with bulkhead as entered:
        assert entered is bulkhead
        assert (bulkhead.in_flight(), bulkhead.try_acquire()) == (1, None)
        with pytest.raises(BulkheadFull, match="full, 1 at a time"):
            inside()
    with pytest.raises(KeyError), bulkhead:
        raise KeyError
    with bulkhead.acquire(timeout=0):
        assert bulkhead.in_flight() == 1
    assert (inside(), bulkhead.call(inside.__wrapped__)) == (1, 1)
    assert bulkhead.in_flight() == 0


async def test_tasks_and_threads_use_the_same_one():
    """`async with`, `acquire_async`, `call_async` and the decorator of a coroutine function."""
    bulkhead = Bulkhead(1)

    @bulkhead
    async def inside() -> int:
        return bulkhead.in_flight()

    async with bulkhead:
        with pytest.raises(BulkheadFull):
            await inside()
        with pytest.raises(BulkheadFull), bulkhead:
            raise AssertionError
    async with bulkhead.acquire_async():
        assert await asyncio.to_thread(bulkhead.try_acquire) is None
    assert (await inside(), await bulkhead.call_async(inside.__wrapped__)) == (1, 1)
    assert await bulkhead.call_async(bulkhead.in_flight) == 1
    assert bulkhead.in_flight() == 0


async def test_a_coroutine_does_not_run_outside():
    """`call` refuses what would be awaited later, and names what to use; generators too."""
    bulkhead = Bulkhead(1)

    async def coroutine() -> None: ...

    def generator():
        yield 1

    with pytest.raises(TypeError, match=r"coroutine is async.*call_async\(\)"):
        bulkhead.call(coroutine)
    with pytest.raises(TypeError, match="generator"):
        bulkhead.call(generator)
    with pytest.raises(TypeError, match="generator"):
        await bulkhead.call_async(generator)
    assert bulkhead.in_flight() == 0


async def test_those_who_wait_come_in_in_order_and_the_line_has_an_end():
    """And a task that is cancelled leaves the line."""
    clock = MockClock()
    bulkhead = Bulkhead(1, max_waiting=2, clock=clock)
    inside, went = bulkhead.acquire(), []

    async def wait(name: str) -> None:
        async with bulkhead.acquire_async():
            went.append(name)

    tasks = [asyncio.ensure_future(wait(name)) for name in ("first", "second")]
    await settle()
    assert bulkhead.waiting() == 2
    with pytest.raises(BulkheadFull):
        await bulkhead.acquire_async()
    tasks[0].cancel()
    await settle()
    assert bulkhead.waiting() == 1
    late = asyncio.ensure_future(wait("late"))
    await settle()
    inside.release()
    await asyncio.gather(tasks[1], late)

    assert (went, bulkhead.in_flight(), bulkhead.waiting()) == (["second", "late"], 0, 0)


def test_a_thread_waits_until_somebody_leaves():
    """On a mock clock a timeout moves it, as `sleep()` would."""
    bulkhead = Bulkhead(1, max_waiting=None)
    inside = bulkhead.acquire()
    waits = threading.Thread(target=bulkhead.call, args=(int,))
    waits.start()
    while not bulkhead.waiting():
        pass
    inside.release()
    waits.join(PATIENCE)
    assert (waits.is_alive(), bulkhead.in_flight()) == (False, 0)

    clock = MockClock()
    bulkhead = Bulkhead(1, 1, clock=clock)
    with bulkhead, pytest.raises(BulkheadFull):
        bulkhead.acquire(timeout=2)
    assert clock.now() == 2.0


def test_its_refusal_says_what_is_full_and_has_no_time_to_come_back_at():
    """So it is not what handlers of `RateLimitExceeded` wait for."""
    with Bulkhead(3) as bulkhead, bulkhead, bulkhead, pytest.raises(BulkheadFull) as refused:
        bulkhead.acquire()
    error = refused.value
    assert (type(error), error.key, error.retry_after) == (BulkheadFull, None, None)
    assert isinstance(error, LimitPalError)
    assert not isinstance(error, RateLimitExceeded)
    assert str(error) == "the bulkhead is full, 3 at a time; nobody can say until when"
    assert str(BulkheadFull()) == "bulkhead is full"


def test_bad_input_is_refused_and_changes_nothing():
    """It names the parameter and the value."""
    for limit in (0, -1, 1.5, "3", None, True, 2**32, float("nan")):
        with pytest.raises(InvalidConfigError, match="limit is"):
            Bulkhead(limit)  # type: ignore[arg-type]
    for most in (-1, 1.5, "3", 2**32):
        with pytest.raises(InvalidConfigError, match="max_waiting is"):
            Bulkhead(1, most)  # type: ignore[arg-type]
    bulkhead = Bulkhead(2, max_waiting=5)
    with pytest.raises(InvalidConfigError, match="limit is 0"):
        bulkhead.set_limit(0)
    assert (bulkhead.limit, bulkhead.max_waiting) == (2, 5)
    bulkhead.set_limit(3)
    assert repr(bulkhead) == "Bulkhead(limit=3, max_waiting=5)"
    assert repr(Bulkhead(1, None)) == "Bulkhead(limit=1)"
    for flavour in BOTH:
        with pytest.raises(InvalidConfigError, match="bulkhead is 3; give a Bulkhead"):
            flavour.ResilientExecutor(bulkhead=3)
        executor = flavour.ResilientExecutor(bulkhead=bulkhead)
        assert "bulkhead=Bulkhead(limit=3, max_waiting=5)" in repr(executor)


def test_it_is_not_pickled():
    """It has live state."""
    import pickle

    with pytest.raises(TypeError, match="live state"):
        pickle.dumps(Bulkhead(1))
