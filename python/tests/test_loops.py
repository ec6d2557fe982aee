"""Event loops: asyncio and uvloop alike, one after the other, and trio."""

import asyncio
import gc
import warnings

import pytest
import trio
import trio.lowlevel

from helpers import Script, cancel, caught, each_loop, new_loop, run_in, spin
from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    MockClock,
    RetryExhausted,
    RetryPolicy,
)

CLOCKS = {"mock": MockClock, "monotonic": lambda: None}
each_clock = pytest.mark.parametrize("clock_kind", CLOCKS)


@each_loop
def test_the_articles_test_passes(loop_kind):
    """One `sleep(0)` after `advance()`, and the executor has called again."""

    async def main():
        clock = MockClock(start_time=0.0)
        retry = RetryPolicy(max_attempts=3, base_delay=1.0, backoff=2.0)
        executor = AsyncResilientExecutor(retry_policy=retry, clock=clock)
        script = Script(TimeoutError(), TimeoutError(), "success")

        async def flaky():
            return script()

        task = asyncio.ensure_future(executor.run("test", flaky))
        counts = []
        await asyncio.sleep(0)
        counts.append(script.count)
        clock.advance(1.0)
        await asyncio.sleep(0)
        counts.append(script.count)
        clock.advance(2.0)
        await asyncio.sleep(0)
        counts.append(script.count)

        assert counts == [1, 2, 3]
        assert await task == "success"

    run_in(loop_kind, main())


@each_loop
def test_waiters_go_in_order(loop_kind):
    """Ten tasks queue for one key; the clock jumps and they go as they came."""

    async def main():
        clock = MockClock()
        limiter = AsyncTokenBucket(1, 1.0, clock=clock)
        order = []

        async def go(n):
            await limiter.acquire("k")
            order.append((n, clock.now()))

        await asyncio.gather(*(go(n) for n in range(10)))

        assert order == [(n, float(n)) for n in range(10)]

    run_in(loop_kind, main())


@each_loop
@pytest.mark.parametrize("charge", ["call", "attempt"])
def test_a_whole_pipeline_runs(loop_kind, charge):
    """Limiter, retry and breaker together, on mock time."""

    async def main():
        clock = MockClock()
        limiter = AsyncCompositeLimiter(
            [AsyncTokenBucket(5, 1.0, clock=clock), AsyncLeakyBucket(5, 10.0, clock=clock)]
        )
        breaker = CircuitBreaker(failure_threshold=50, clock=clock)
        policy = RetryPolicy(max_attempts=2, base_delay=0.5)
        executor = AsyncResilientExecutor(limiter, policy, breaker, charge=charge)
        failed = set()

        async def flaky(n):
            await asyncio.sleep(0)
            if n not in failed:
                failed.add(n)
                raise ValueError(n)
            return n

        results = await asyncio.gather(*(executor.run("k", flaky, n) for n in range(20)))

        assert results == list(range(20))
        assert breaker.state == "closed"
        assert clock.now() >= (15.0 if charge == "call" else 35.0)

    run_in(loop_kind, main())


@each_loop
def test_a_cancelled_wait_gives_its_place_back(loop_kind):
    """The next in line moves up."""

    async def main():
        clock = MockClock(autojump=False)
        limiter = AsyncTokenBucket(1, 1.0, clock=clock)
        await limiter.acquire("k")
        first, second = (asyncio.ensure_future(limiter.acquire("k")) for _ in range(2))
        await spin()

        await cancel(first)
        clock.advance(1.0)
        await spin()

        assert second.done()

    run_in(loop_kind, main())


@each_loop
def test_real_time_passes(loop_kind):
    """On the monotonic clock a wait takes its time and ends."""

    async def main():
        loop = asyncio.get_running_loop()
        executor = AsyncResilientExecutor(
            AsyncTokenBucket(1, 100.0), RetryPolicy(base_delay=0.01), CircuitBreaker()
        )
        begun = loop.time()
        for _ in range(3):
            await executor.run("k", lambda: None)
        assert 0.019 <= loop.time() - begun < 10.0

    run_in(loop_kind, main())


@pytest.mark.parametrize("second", ["asyncio", "uvloop"])
@pytest.mark.parametrize("first", ["asyncio", "uvloop"])
@each_clock
def test_one_loop_after_the_other(first, second, clock_kind):
    """A limiter and an executor made in one loop work in the next, waits included."""
    clock = CLOCKS[clock_kind]()
    limiter = AsyncTokenBucket(1, 100.0, clock=clock)
    executor = AsyncResilientExecutor(
        limiter, RetryPolicy(base_delay=0.01), CircuitBreaker(clock=clock)
    )

    async def main():
        script = Script(ValueError(), "done")
        await limiter.acquire("k")
        await limiter.acquire("k")
        return await executor.run("k", script)

    assert [run_in(kind, main()) for kind in (first, second)] == ["done", "done"]


@each_clock
def test_waiters_cancelled_with_their_loop_block_nobody(clock_kind):
    """`asyncio.run` cancels what still waits at its end; the next loop finds the line empty."""
    clock = MockClock(autojump=False) if clock_kind == "mock" else None
    limiter = AsyncTokenBucket(1, 0.01, clock=clock)

    async def leave_waiting():
        await limiter.acquire("k")
        waiter = asyncio.ensure_future(limiter.acquire("k"))
        await spin()
        assert not waiter.done()

    async def look():
        return (await limiter.peek("k")).retry_after

    asyncio.run(leave_waiting())

    assert 90.0 < asyncio.run(look()) <= 100.0


@each_loop
def test_waiters_abandoned_with_their_loop_block_nobody(loop_kind):
    """A loop closed over a pending wait: whoever comes next is served in time."""
    clock = MockClock(autojump=False)
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)

    async def begin():
        await limiter.acquire("k")
        return limiter.acquire("k")

    loop = new_loop(loop_kind)
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending"
    waiter = loop.create_task(loop.run_until_complete(begin()))
    loop.run_until_complete(spin())
    assert not waiter.done()
    loop.close()
    del waiter, loop
    gc.collect()

    async def next_one():
        clock.advance(2.0)
        await limiter.acquire("k", timeout=1.0)

    run_in(loop_kind, next_one())


async def trio_core(clock):
    """What must work where no asyncio loop runs; returns what is then asked to wait."""
    limiter = AsyncTokenBucket(2, 10.0, clock=clock)
    executor = AsyncResilientExecutor(
        limiter, RetryPolicy(max_attempts=2, base_delay=0.01), CircuitBreaker(clock=clock)
    )
    assert await limiter.allow("a") is True
    assert await limiter.acquire("a") is None

    async def function():
        await trio.lowlevel.checkpoint()
        return "done"

    assert await executor.run("b", function) == "done"
    return limiter, executor


async def works_or_says_no(awaitable):
    """Waits; or asserts that the refusal is a RuntimeError that says what is needed."""
    try:
        await awaitable
    except RuntimeError as error:
        assert "asyncio" in str(error)
        return False
    return True


@each_clock
def test_what_does_not_wait_works_under_trio(clock_kind):
    """`allow`, an `acquire` that finds quota, a run that succeeds at once."""
    trio.run(trio_core, CLOCKS[clock_kind]())


@each_clock
def test_a_wait_for_quota_works_under_trio_or_says_no(clock_kind):
    """Either it waits, or a RuntimeError names asyncio; no place is lost either way."""

    async def main():
        limiter, _ = await trio_core(CLOCKS[clock_kind]())
        while await limiter.allow("a"):
            pass
        for _ in range(4):
            await works_or_says_no(limiter.acquire("a"))
        left = (await limiter.peek("a")).retry_after
        assert left <= 0.1001, f"places were lost: {left}"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trio.run(main)
        gc.collect()


@each_clock
def test_a_backoff_works_under_trio_or_says_no(clock_kind):
    """Either the run retries, or a RuntimeError names asyncio; never half."""
    script = Script(ValueError(), "done")

    async def main():
        _, executor = await trio_core(CLOCKS[clock_kind]())

        async def attempt():
            return script()

        retried = await works_or_says_no(executor.run("c", attempt))
        assert script.count == 1 + retried

    trio.run(main)


@each_loop
def test_exhausted_runs_leave_no_task_behind(loop_kind):
    """Waits and attempts run in the caller's task; nobody else's is left in the loop."""

    async def main():
        clock = MockClock()
        limiter = AsyncTokenBucket(1, 1.0, clock=clock)
        executor = AsyncResilientExecutor(limiter, RetryPolicy(), clock=clock, charge="attempt")
        error = await caught(executor.run("k", Script(ValueError())))
        assert type(error) is RetryExhausted
        await spin()
        return asyncio.all_tasks()

    loop = new_loop(loop_kind)
    tasks = loop.run_until_complete(main())
    loop.close()

    assert len(tasks) == 1
