"""Tasks that wait for a permit: in order, cancelled anywhere, and none lost."""

from __future__ import annotations

import asyncio

import pytest

from concurrency_crews import Crew, line
from driving import Counted, settle
from limitpal import AsyncConcurrencyLimiter, RateLimitExceeded


async def test_they_go_in_the_order_in_which_they_came():
    """One at a time, each when the one before gives back."""
    limiter, crew = await line()
    assert await limiter.waiting("k") == 4

    for name in ["holder", *"abcd"]:
        assert crew.order[-1] == name
        await crew.release(name)

    assert crew.order == ["holder", *"abcd"]
    assert len(limiter) == 0


async def test_each_is_resumed_once():
    """No polling, no herd: the loop resumes sixty who wait once each."""
    limiter = AsyncConcurrencyLimiter(1)
    held = await limiter.acquire("k")
    waits = [Counted(limiter.acquire("k")) for _ in range(60)]

    async def go(wait):
        (await wait).release()

    tasks = [asyncio.ensure_future(go(wait)) for wait in waits]
    await settle()
    held.release()
    await asyncio.wait_for(asyncio.gather(*tasks), 1)

    assert [wait.resumed for wait in waits] == [1] * 60
    assert len(limiter) == 0


async def test_one_turn_of_the_loop_is_enough():
    """Who is let in goes on in the next turn, as with a future set by hand."""
    _, crew = await line(names="a")

    crew.permits.pop("holder").release()
    await asyncio.sleep(0)

    assert crew.order == ["holder", "a"]
    await crew.finish()


async def test_nobody_overtakes_one_who_asks_for_many():
    """Neither who comes later and asks for one, nor who does not wait."""
    limiter = AsyncConcurrencyLimiter(2)
    crew = Crew(limiter)
    for name, cost in (("x", 1), ("y", 1), ("both", 2), ("one", 1)):
        await crew.join(name, cost=cost)

    await crew.release("x")
    assert await limiter.try_acquire("k") is None
    assert crew.order == ["x", "y"]
    await crew.release("y")
    assert crew.order == ["x", "y", "both"]

    await crew.finish()
    assert crew.order[-1] == "one"


@pytest.mark.parametrize("leaver", "abcd")
async def test_a_cancelled_wait_gives_its_place_to_the_next(leaver):
    """Wherever it stands."""
    _, crew = await line()

    crew.tasks[leaver].cancel()
    await settle()

    await crew.finish()
    assert crew.order == ["holder", *(name for name in "abcd" if name != leaver)]


async def test_cancelled_in_the_same_tick_as_it_is_let_in_it_hands_its_permit_on():
    """The permit was its own already, and its task had not run."""
    limiter, crew = await line(names="ab")

    crew.permits.pop("holder").release()
    crew.tasks["a"].cancel()
    assert await limiter.in_flight("k") == 1
    await settle()

    assert crew.tasks["a"].cancelled()
    assert crew.order == ["holder", "b"]
    await crew.finish()


async def test_let_in_in_the_same_tick_as_it_is_cancelled_it_hands_its_permit_on():
    """The other way round: cancelled first, and then the permit came."""
    _, crew = await line(names="ab")

    crew.tasks["a"].cancel()
    crew.permits.pop("holder").release()
    await settle()

    assert crew.order == ["holder", "b"]
    await crew.finish()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("way", ["await", "async with"])
async def test_cancelled_after_any_number_of_turns_nothing_is_lost(turns, way):
    """At every await on the way: before it waits, while it does, let in, inside, afterwards."""
    limiter = AsyncConcurrencyLimiter(1)
    held = await limiter.acquire("k")

    async def work():
        if way == "await":
            with await limiter.acquire("k"):
                await asyncio.sleep(0)
        else:
            async with limiter.acquire("k"):
                await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(work()) for _ in range(2)]
    for turn in range(turns):
        if turn == 2:
            held.release()
        await asyncio.sleep(0)
    tasks[0].cancel()
    held.release()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 1)

    assert not tasks[1].cancelled()
    assert len(limiter) == 0


async def test_an_async_with_gives_back_however_it_ends():
    """At its end, by an error, and when its task is cancelled inside."""
    limiter = AsyncConcurrencyLimiter(1)

    async with limiter.acquire("k") as permit:
        assert await limiter.in_flight("k") == 1
        assert repr(permit) == "<ConcurrencyPermit, cost 1, held>"
    assert len(limiter) == 0
    with pytest.raises(KeyError):
        async with limiter.acquire("k"):
            raise KeyError
    assert len(limiter) == 0

    async def work():
        async with limiter.acquire("k"):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await settle()
    assert len(limiter) == 1
    task.cancel()
    await settle()

    assert task.cancelled()
    assert len(limiter) == 0


async def test_what_acquire_returns_is_a_coroutine_to_asyncio():
    """For `create_task`, `wait_for`, `gather` and `shield`, as any other."""
    limiter = AsyncConcurrencyLimiter(10)

    permits = [
        await asyncio.create_task(limiter.acquire("k")),
        await asyncio.wait_for(limiter.acquire("k"), 1),
        *await asyncio.gather(limiter.acquire("k"), limiter.acquire("k")),
        await asyncio.shield(limiter.acquire("k")),
    ]

    assert await limiter.in_flight("k") == 5
    assert len(permits) == 5


async def test_a_wait_that_wait_for_gives_up_leaves_no_place():
    """In real time: `asyncio.wait_for` cancels it."""
    limiter, crew = await line(names="")

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(limiter.acquire("k"), 0.01)

    assert await limiter.waiting("k") == 0
    await crew.finish()


async def test_one_that_is_never_awaited_takes_nothing_and_says_so():
    """It takes its place when it is first awaited."""
    limiter = AsyncConcurrencyLimiter(1)

    with pytest.warns(RuntimeWarning, match="was never awaited"):
        limiter.acquire("k")

    assert len(limiter) == 0


async def test_it_can_be_awaited_once():
    """As a coroutine, it says so."""
    acquiring = AsyncConcurrencyLimiter(1).acquire("k")
    await acquiring

    with pytest.raises(RuntimeError, match="already awaited"):
        await acquiring


async def test_a_limit_that_changes_lets_in_more_and_turns_away_who_is_too_many():
    """Those who wait hear of it at once."""
    limiter, crew = await line(limit=2, names="a")
    await crew.join("two", cost=2)
    await crew.join("b")

    await limiter.set_limit(3)
    await settle()
    assert crew.order == ["holder", "a"]
    await limiter.set_limit(1)
    await settle()

    with pytest.raises(RateLimitExceeded) as refusal:
        await crew.tasks["two"]
    assert refusal.value.retry_after == float("inf")
    await crew.finish()
    assert crew.order == ["holder", "a", "b"]


async def test_so_many_wait_and_no_more():
    """The others are refused at once; who leaves makes room."""
    limiter, crew = await line(names="ab", max_waiting=2)

    with pytest.raises(RateLimitExceeded):
        await limiter.acquire("k")
    crew.tasks["b"].cancel()
    await settle()
    await crew.join("c")

    await crew.finish()
    assert crew.order == ["holder", "a", "c"]
