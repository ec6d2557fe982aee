"""A cancelled task, at every point where it may wait: nothing is lost, nothing is counted."""

import asyncio

import pytest

from helpers import cancel, caught, each_charge, half_open, pass_time, spin
from limitpal import (
    AsyncCompositeLimiter,
    AsyncLeakyBucket,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    MockClock,
    RetryPolicy,
)


@pytest.fixture
def clock():
    """Returns a mock clock that moves only when told."""
    return MockClock(autojump=False)


async def waiting(coroutine):
    """Returns a task that has begun to wait."""
    task = asyncio.ensure_future(coroutine)
    await spin()
    assert not task.done()
    return task


async def test_a_cancelled_acquire_takes_nothing(clock):
    """A token bucket's place in the line is given back."""
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    await limiter.acquire("k")

    await cancel(await waiting(limiter.acquire("k")))

    assert (await limiter.peek("k")).retry_after == 1.0
    clock.advance(1.0)
    assert await limiter.allow("k") is True


async def test_a_cancelled_place_moves_the_others_up(clock):
    """The second leaves: the third goes when the second would have gone."""
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    await limiter.acquire("k")
    second = await waiting(limiter.acquire("k"))
    third = await waiting(limiter.acquire("k"))

    await cancel(second)
    clock.advance(1.0)
    await spin()

    assert third.done()


@pytest.mark.parametrize("turns", range(4))
async def test_a_place_cancelled_as_it_comes_up_is_not_lost(clock, turns):
    """Woken and cancelled in the same breath: it goes to the next, or it was taken by this one."""
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    await limiter.acquire("k")
    second = await waiting(limiter.acquire("k"))
    third = await waiting(limiter.acquire("k"))

    clock.advance(1.0)
    await spin(turns)
    second.cancel()
    await asyncio.wait([second])
    await spin()

    assert second.cancelled() == third.done(), "exactly one of the two has it"
    third.cancel()


@pytest.mark.parametrize("bucket", [AsyncTokenBucket, AsyncLeakyBucket])
async def test_a_whole_line_cancelled_leaves_no_trace(clock, bucket):
    """A hundred places given back: the next one waits no longer than without them."""
    limiter = bucket(1, 1.0, clock=clock)
    await limiter.acquire("k")
    line = [await waiting(limiter.acquire("k")) for _ in range(100)]

    for task in line:
        await cancel(task)
    last = await waiting(limiter.acquire("k"))
    clock.advance(1.0)
    await spin()

    assert last.done()


async def test_a_cancelled_composite_takes_from_no_part(clock):
    """Neither from the part it waited in nor from the others."""
    slow, wide = AsyncTokenBucket(1, 1.0, clock=clock), AsyncTokenBucket(5, 1.0, clock=clock)
    limiter = AsyncCompositeLimiter([slow, wide], clock=clock)
    await limiter.acquire("k")

    await cancel(await waiting(limiter.acquire("k")))

    assert await wide.get_tokens("k") == 4.0
    clock.advance(1.0)
    assert await slow.allow("k") is True


async def test_a_cancelled_composite_frees_its_second_wait(clock):
    """It waited in one part, then in another that had run dry: both are free again."""
    first, second = AsyncTokenBucket(1, 1.0, clock=clock), AsyncTokenBucket(1, 0.5, clock=clock)
    limiter = AsyncCompositeLimiter([first, second], clock=clock)
    await first.acquire("k")
    task = await waiting(limiter.acquire("k"))
    await second.acquire("k")
    clock.advance(1.0)
    await spin()
    assert not task.done()

    await cancel(task)

    assert await first.allow("k") is True
    clock.advance(1.0)
    assert await second.allow("k") is True


async def test_a_run_cancelled_while_it_waits_for_quota(clock):
    """Its place goes back, its probe is free, its function never ran."""
    breaker = half_open(clock)
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    executor = AsyncResilientExecutor(limiter, RetryPolicy(), breaker, clock)
    await limiter.acquire("k")
    called = []

    async def function():
        called.append(1)

    await cancel(await waiting(executor.run("k", function)))

    assert not called
    assert breaker.state == "half_open"
    assert breaker.allow() is True
    assert (await limiter.peek("k")).retry_after == 1.0


@each_charge
async def test_a_run_cancelled_between_attempts(clock, charge):
    """No other attempt; the circuit hears nothing of the run's end."""
    breaker = half_open(clock, ignore=ValueError)
    executor = AsyncResilientExecutor(
        None, RetryPolicy(base_delay=1.0), breaker, clock, charge=charge
    )
    called = []

    async def function():
        called.append(1)
        raise ValueError

    task = await waiting(executor.run("k", function))
    await cancel(task)
    clock.advance(5.0)
    await spin()

    assert called == [1]
    assert breaker.state == "half_open"
    assert breaker.allow() is True


@each_charge
async def test_a_run_cancelled_inside_its_function(clock, charge):
    """The quota is spent, as the call was made; the probe is free."""
    breaker = half_open(clock)
    limiter = AsyncTokenBucket(5, 1.0, clock=clock)
    executor = AsyncResilientExecutor(limiter, RetryPolicy(), breaker, clock, charge=charge)

    await cancel(await waiting(executor.run("k", asyncio.Event().wait)))

    assert await limiter.get_tokens("k") == 4.0
    assert breaker.state == "half_open"
    assert breaker.allow() is True


async def test_a_cancelled_call_async_frees_the_probe(clock):
    """Neither success nor failure."""
    breaker = half_open(clock)

    await cancel(await waiting(breaker.call_async(asyncio.Event().wait)))

    assert breaker.state == "half_open"
    assert breaker.allow() is True


async def test_a_function_may_swallow_its_cancellation(clock):
    """What the user's function decides stands: it returned, so the run succeeded."""
    breaker = half_open(clock)
    executor = AsyncResilientExecutor(None, RetryPolicy(), breaker, clock)

    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "I stay"

    task = await waiting(executor.run("k", stubborn))
    task.cancel()

    assert await task == "I stay"
    assert breaker.state == "closed"


@each_charge
@pytest.mark.parametrize("turns", range(40))
async def test_a_run_cancelled_at_any_turn_leaves_no_trace(clock, charge, turns):
    """Whatever the run was doing: the circuit probes, and quota is spent per attempt at most."""
    breaker = half_open(clock, recovery_timeout=1000.0, ignore=ValueError)
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    policy = RetryPolicy(max_attempts=4, base_delay=0.5, backoff=1.0)
    executor = AsyncResilientExecutor(limiter, policy, breaker, clock, charge=charge)
    await limiter.acquire("k")
    began = []

    async def function():
        began.append(clock.now())
        await asyncio.sleep(0)
        raise ValueError

    task = asyncio.ensure_future(executor.run("k", function))
    for _ in range(turns):
        await asyncio.sleep(0)
        clock.advance(0.125)
    task.cancel()
    await caught_quietly(task)
    attempts = len(began)
    await spin()

    assert len(began) == attempts, "an attempt after the cancellation"
    assert breaker.state == "half_open"
    assert breaker.allow() is True
    pass_time(clock, 1.0)
    assert await limiter.allow("k") is True, "a place was lost"


async def caught_quietly(task):
    """Waits for a task, whichever way it ends."""
    if not task.done():
        await asyncio.wait([task])
    return task.cancelled() or task.exception()


async def test_a_closed_coroutine_gives_its_place_back(clock):
    """Abandoned instead of cancelled: `close()` cleans up like a cancellation."""
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    await limiter.acquire("k")
    task = limiter.acquire("k")
    task.send(None)

    task.close()

    assert (await limiter.peek("k")).retry_after == 1.0
    clock.advance(1.0)
    assert await limiter.allow("k") is True


async def test_wait_for_gives_the_place_back(clock):
    """`asyncio.wait_for` with a deadline of its own is a cancellation like any other."""
    limiter = AsyncTokenBucket(1, 1.0, clock=clock)
    await limiter.acquire("k")

    error = await caught(asyncio.wait_for(limiter.acquire("k"), timeout=0.01))

    assert isinstance(error, asyncio.TimeoutError)
    assert (await limiter.peek("k")).retry_after == 1.0


async def test_a_cancelled_run_is_not_a_failure(clock):
    """Closed circuit, threshold one: a hundred cancellations leave it closed."""
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    executor = AsyncResilientExecutor(None, RetryPolicy(), breaker, clock)

    for _ in range(100):
        await cancel(await waiting(executor.run("k", asyncio.Event().wait)))

    assert breaker.state == "closed"
