"""Equal calls in flight: one makes the run, and what it comes to is everybody's."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import Any

import pytest

from driving import PATIENCE, settle
from limitpal import (
    AsyncResilientExecutor,
    Cache,
    Fallback,
    MockClock,
    RateLimitExceeded,
    ResilientExecutor,
)


class Slow:
    """A coroutine function that ends when it is told to."""

    def __init__(self) -> None:
        self.calls = 0
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> Any:
        self.calls += 1
        return await asyncio.shield(self.answer)


async def test_tasks_get_the_value_of_one_run():
    """And those who come later find it kept."""
    cache, slow = Cache(60), Slow()
    executor = AsyncResilientExecutor(cache=cache)
    tasks = [asyncio.ensure_future(executor.run("k", slow)) for _ in range(5)]
    await settle()
    slow.answer.set_result(7)

    assert await asyncio.gather(*tasks) == [7] * 5
    assert await executor.run("k", slow) == 7
    stats = cache.stats()
    assert (slow.calls, stats.misses, stats.coalesced, stats.hits) == (1, 1, 4, 1)
    assert executor.stats().calls == 1


async def test_tasks_get_the_error_of_one_run_which_is_not_kept():
    """A refusal too; each has the fallback's word on it, or a stale value."""
    cache, slow = Cache(60), Slow()
    executor = AsyncResilientExecutor(cache=cache)
    answered = AsyncResilientExecutor(cache=cache, fallback=Fallback("instead"))
    tasks = [asyncio.ensure_future(executor.run("k", slow)) for _ in range(2)]
    tasks += [asyncio.ensure_future(answered.run("k", slow)) for _ in range(2)]
    await settle()
    error = RateLimitExceeded("of another")
    slow.answer.set_exception(error)

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results == [error, error, "instead", "instead"]
    assert (slow.calls, cache.stats().coalesced, len(cache)) == (1, 3, 0)
    assert await answered.run("k", slow) == "instead"
    assert slow.calls == 2


async def test_those_who_wait_have_a_stale_value_in_place_of_the_error():
    """All of them."""
    clock, cache = MockClock(), Cache(10, stale_for=60)
    executor = AsyncResilientExecutor(cache=cache, clock=clock)
    slow = Slow()
    slow.answer.set_result("old")
    await executor.run("k", slow)
    clock.advance(10)
    slow.answer = asyncio.get_running_loop().create_future()
    tasks = [asyncio.ensure_future(executor.run("k", slow)) for _ in range(3)]
    await settle()
    slow.answer.set_exception(TimeoutError())
    assert await asyncio.gather(*tasks) == ["old"] * 3
    assert cache.stats().stale == 3


async def test_if_the_one_that_runs_is_cancelled_another_takes_over():
    """The others are not cancelled, and one that was waiting makes the run."""
    cache, slow = Cache(60), Slow()
    executor = AsyncResilientExecutor(cache=cache)
    tasks = [asyncio.ensure_future(executor.run("k", slow)) for _ in range(4)]
    await settle()
    tasks[1].cancel()
    tasks[0].cancel()
    await settle()
    assert slow.calls == 2
    slow.answer.set_result(7)

    assert await asyncio.gather(*tasks[2:]) == [7, 7]
    assert [task.cancelled() for task in tasks[:2]] == [True, True]
    assert cache.stats().coalesced == 1
    assert not cache._flights


async def test_what_is_forgotten_while_it_is_under_way_is_not_kept_nor_joined():
    """Who asked before gets what was asked for."""
    cache, old, new = Cache(60), Slow(), Slow()
    executor = AsyncResilientExecutor(cache=cache)
    now: list[Slow] = [old]

    async def fetch() -> Any:
        return await now[0]()

    first = asyncio.ensure_future(executor.run("k", fetch))
    await settle()
    cache.invalidate_call("k", fetch)
    now[0] = new
    second = asyncio.ensure_future(executor.run("k", fetch))
    await settle()
    old.answer.set_result("old")
    assert (await first, len(cache)) == ("old", 0)
    new.answer.set_result("new")
    assert (await second, await executor.run("k", fetch)) == ("new", "new")
    assert not cache._flights


async def test_a_function_that_makes_the_same_call_again_makes_a_run_of_its_own():
    """It would wait for itself: in a task, in a thread, and in a loop within a thread."""
    cache = Cache(60)
    executor, sync = AsyncResilientExecutor(cache=cache), ResilientExecutor(cache=cache)
    depth = 0

    async def again() -> int:
        nonlocal depth
        depth += 1
        return 1 if depth == 2 else 1 + await executor.run("k", again)

    def again_sync() -> int:
        nonlocal depth
        depth += 1
        return 1 if depth == 2 else 1 + sync.run("k", again_sync)

    def loop_within() -> int:
        nonlocal depth
        depth += 1
        return 1 if depth == 2 else 1 + asyncio.run(executor.run("k", loop_within))

    assert await asyncio.wait_for(executor.run("k", again), PATIENCE) == 2
    for function in (again_sync, loop_within):
        depth = 0
        assert await asyncio.to_thread(sync.run, "k", function) == 2
    depth = 0

    async def blocks() -> int:
        nonlocal depth
        depth += 1
        return 1 if depth == 2 else 1 + sync.run("k", lambda: 1)

    assert await executor.run("k", blocks) == 2


def test_threads_wait_for_the_one_that_runs():
    """Each call is made once, by whomever."""
    cache = Cache(3600)
    executor = ResilientExecutor(cache=cache)
    calls, sums = [], []
    start = threading.Barrier(6)

    def function(number: int) -> int:
        calls.append(number)
        time.sleep(0)
        return number

    def work() -> None:
        start.wait()
        sums.append(sum(executor.run("k", function, number) for number in range(200)))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert sums == [19900] * 6
    assert sorted(calls) == list(range(200))
    stats = cache.stats()
    assert (stats.misses, stats.hits + stats.misses + stats.coalesced) == (200, 1200)


async def test_tasks_and_threads_wait_for_each_other():
    """A thread waits for a task's run, and a task for a thread's."""
    cache = Cache(60)
    executor, sync = AsyncResilientExecutor(cache=cache), ResilientExecutor(cache=cache)
    slow = Slow()
    task = asyncio.ensure_future(executor.run("k", slow))
    await settle()
    thread = asyncio.ensure_future(asyncio.to_thread(sync.run, "k", slow))
    flight = next(iter(cache._flights.values()))
    while not flight._bells:
        await asyncio.sleep(0)
    slow.answer.set_result(7)
    assert (await task, await thread) == (7, 7)

    entered, leave = threading.Event(), threading.Event()

    def blocks() -> int:
        entered.set()
        leave.wait(PATIENCE)
        return 8

    thread = asyncio.ensure_future(asyncio.to_thread(sync.run, "k", blocks))
    await asyncio.to_thread(entered.wait, PATIENCE)
    task = asyncio.ensure_future(executor.run("k", blocks))
    await settle()
    leave.set()
    assert (await task, await thread) == (8, 8)
    assert cache.stats().coalesced == 2


def test_ctrl_c_ends_the_wait_of_a_thread():
    """It waits for a lock of its own, as all do here; the run goes on."""
    cache = Cache(60)
    executor = ResilientExecutor(cache=cache)
    entered, leave = threading.Event(), threading.Event()

    def blocks() -> int:
        entered.set()
        leave.wait(PATIENCE)
        return 7

    thread = threading.Thread(target=executor.run, args=("k", blocks))
    thread.start()
    entered.wait(PATIENCE)

    def interrupt() -> None:
        flight = next(iter(cache._flights.values()))
        while not flight._bells:
            time.sleep(0.001)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        executor.run("k", blocks)
    leave.set()
    thread.join(PATIENCE)
    assert executor.run("k", blocks) == 7
    assert cache.stats().misses == 1
