"""One concurrency limiter in several event loops and threads, in closed ones, and under trio."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest
import trio

from driving import PATIENCE, settle
from helpers import each_loop, run_in
from limitpal import AsyncConcurrencyLimiter, ConcurrencyLimiter, MockClock


@each_loop
def test_a_crowd_is_never_more_than_the_limit_inside(loop_kind):
    """A hundred tasks, three at a time, on each loop."""

    async def main():
        limiter, inside, most = AsyncConcurrencyLimiter(3), 0, 0

        async def work():
            nonlocal inside, most
            async with limiter.acquire("k"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(100)))
        assert (most, inside, len(limiter)) == (3, 0, 0)

    run_in(loop_kind, main())


def test_a_permit_released_in_a_thread_wakes_a_task():
    """The loop sleeps meanwhile, and is woken."""
    limiter = AsyncConcurrencyLimiter(1)

    async def main():
        held = await limiter.acquire("k")
        task = asyncio.ensure_future(limiter.acquire("k"))
        await settle()
        threading.Thread(target=held.release).start()
        (await asyncio.wait_for(task, PATIENCE)).release()

    asyncio.run(main())
    assert len(limiter) == 0


def test_those_who_wait_in_a_closed_loop_hand_their_permits_on():
    """A thousand of them in a row, and no deep stack; who waits elsewhere goes."""
    core = AsyncConcurrencyLimiter(1)
    loop = asyncio.new_event_loop()
    tasks = []

    async def abandon():
        held = await core.acquire("k")
        tasks.extend(loop.create_task(core._acquire("k", None, 1)) for _ in range(1000))
        await settle()
        return held

    held = loop.run_until_complete(abandon())
    loop.close()
    assert asyncio.run(core.waiting("k")) == 1000

    held.release()

    assert len(core) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for task in tasks:
            task._log_destroy_pending = False
            task.get_coro().close()
        tasks.clear()


def test_a_limiter_of_one_loop_works_in_the_next():
    """Nothing of it belongs to a loop."""
    limiter = AsyncConcurrencyLimiter(1)

    async def main():
        async with limiter.acquire("k"):
            waiter = asyncio.ensure_future(limiter.acquire("k"))
            await settle()
        (await waiter).release()

    for _ in range(3):
        asyncio.run(main())
    assert len(limiter) == 0


def test_under_trio_a_wait_is_refused_with_words_and_what_need_not_wait_works():
    """Never half."""
    limiter = AsyncConcurrencyLimiter(1)

    async def main():
        async with limiter.acquire("k"):
            with pytest.raises(RuntimeError, match="asyncio"):
                await limiter.acquire("k")
            assert await limiter.waiting("k") == 0

    trio.run(main)
    assert len(limiter) == 0


def test_a_sync_and_an_async_limiter_have_permits_of_one_kind():
    """A permit of either is used in the same ways."""
    mock = MockClock()
    sync, twin = ConcurrencyLimiter(1, clock=mock), AsyncConcurrencyLimiter(1, clock=mock)

    async def main():
        return await twin.acquire("k")

    assert type(asyncio.run(main())) is type(sync.acquire("k"))
