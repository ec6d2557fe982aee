"""Waiting in line: in the order they came, each woken once, no place lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from driving import ASYNC, Counted, Flavour, GateClock, Line, call, drain, settle
from limitpal import MockClock, RateLimitExceeded
from models import NANOS, nanos, over_the_bound

KINDS = ["token", "leaky"]


async def full_line(kind: str, still, names: str = "abcd", capacity: int = 1, rate: float = 1.0):
    """Drain a bucket of one per second and let the names wait for it, due at 1, 2, 3, …"""
    limiter = ASYNC.bucket(kind, capacity, rate, clock=still)
    await drain(limiter)
    line = Line(limiter, still)
    for name in names:
        await line.join(name)
    return limiter, line


@pytest.mark.parametrize("kind", KINDS)
async def test_waiters_go_in_the_order_they_came(still, kind):
    """First come, first served, each at its own time to the nanosecond."""
    _, line = await full_line(kind, still)

    await line.advance(0.999_999_999)
    assert line.went == []
    await line.advance(0.000_000_001)
    assert line.order == ["a"]
    await line.advance(3.0, step=1.0)

    assert line.went == [(name, n * NANOS) for n, name in enumerate("abcd", 1)]


async def test_one_large_step_wakes_all_that_are_due_in_order(still):
    """Waking many at once keeps their order."""
    _, line = await full_line("token", still, "abcdefgh")

    await line.advance(5.0)

    assert line.order == list("abcde")
    await line.close()


async def test_a_small_cost_does_not_overtake_a_large_one(still):
    """Who waits for three is not passed by who wants one."""
    limiter = ASYNC.TokenBucket(3, 1, clock=still)
    await drain(limiter)
    line = Line(limiter, still)
    for name, cost in (("a", 1), ("b", 3), ("c", 1)):
        await line.join(name, cost=cost)

    await line.advance(6.0, step=0.5)

    assert line.seconds == {"a": 1.0, "b": 4.0, "c": 5.0}


async def test_allow_does_not_overtake_who_waits(still):
    """The token that comes at 1.0 is the waiter's, even before the waiter's task has run."""
    limiter, line = await full_line("token", still, "a")

    still.advance(1.0)
    overtaken = await limiter.allow("k")
    await settle()

    assert not overtaken
    assert line.seconds == {"a": 1.0}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_is_woken_once(still, kind):
    """Sixty waiters are resumed by the loop once each: no polling, no herd."""
    limiter = ASYNC.bucket(kind, 1, 10, clock=still)
    await drain(limiter)
    waits = [Counted(limiter.acquire("k")) for _ in range(60)]

    async def go(wait: Counted) -> None:
        await wait

    tasks = [asyncio.ensure_future(go(wait)) for wait in waits]
    await settle()
    for _ in range(60):
        still.advance(0.1)
        await settle()

    assert all(task.done() for task in tasks)
    assert [wait.resumed for wait in waits] == [1] * 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("leaver", range(4))
async def test_a_cancelled_place_moves_the_others_up(still, kind, leaver):
    """Whoever leaves, at the head, inside or at the tail: those behind move up."""
    _, line = await full_line(kind, still)

    await line.advance(0.5)
    await line.leave("abcd"[leaver])
    await line.advance(4.0, step=0.5)

    stayed = [name for n, name in enumerate("abcd") if n != leaver]
    assert line.went == [(name, n * NANOS) for n, name in enumerate(stayed, 1)]
    assert over_the_bound([(0, 1), *((at, 1) for _, at in line.went)], 1, 1) is None


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelling_all_leaves_the_bucket_as_if_nobody_had_come(still, kind):
    """Three come and go: the next who asks goes where the first would have."""
    limiter, line = await full_line(kind, still, "abc")

    await line.advance(0.25)
    for name in "bca":
        await line.leave(name)
    await line.join("d")
    await line.advance(0.75)

    assert line.seconds == {"d": 1.0}
    assert not await limiter.allow("k")


@pytest.mark.parametrize("kind", KINDS)
async def test_cancelled_in_the_moment_of_waking_gives_the_turn_to_the_next(still, kind):
    """Time came, the task was cancelled before it ran: its turn is the next one's."""
    _, line = await full_line(kind, still, "ab")

    still.advance(1.0)
    line.tasks["a"].cancel()
    await settle()

    assert line.tasks["a"].cancelled()
    assert line.seconds == {"b": 1.0}


async def test_a_large_place_that_is_cancelled_lets_several_move_up(still):
    """Who waited for three leaves: the two behind take its tokens."""
    limiter = ASYNC.TokenBucket(3, 1, clock=still)
    await drain(limiter)
    line = Line(limiter, still)
    for name, cost in (("a", 3), ("b", 1), ("c", 2)):
        await line.join(name, cost=cost)

    await line.leave("a")
    await line.advance(3.0, step=0.5)

    assert line.seconds == {"b": 1.0, "c": 3.0}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_beyond_the_timeout_is_refused_at_once(flavour: Flavour, clock, kind):
    """No sleep and no take: refused now, with the exact time, though it might wait a while."""
    limiter = flavour.bucket(kind, 1, 0.001, clock=clock)
    await drain(limiter)

    with pytest.raises(RateLimitExceeded) as refusal:
        await call(limiter.acquire, "k", timeout=999.999)

    assert refusal.value.retry_after == 1000.0
    assert clock.now() == 0.0
    await call(limiter.acquire, "k", timeout=1000.0)
    assert clock.now() == 1000.0


async def test_a_refused_wait_counts_those_in_line(still):
    """With two waiting, the third would go at 3.0; refused, it holds nobody up."""
    limiter, line = await full_line("token", still, "ab")

    for timeout in (0, 1.0, 2.999_999_999):
        with pytest.raises(RateLimitExceeded) as refusal:
            await limiter.acquire("k", timeout=timeout)
        assert refusal.value.retry_after == 3.0
    await line.join("c", timeout=3.0)
    await line.advance(3.0, step=1.0)

    assert line.seconds == {"a": 1.0, "b": 2.0, "c": 3.0}


@pytest.mark.parametrize("kind", KINDS)
async def test_timeout_zero_takes_what_is_there(flavour: Flavour, clock, kind):
    """`timeout=0` never waits: it takes, or it refuses."""
    limiter = flavour.bucket(kind, 1, 1, clock=clock)

    await call(limiter.acquire, "k", timeout=0)
    with pytest.raises(RateLimitExceeded):
        await call(limiter.acquire, "k", timeout=0)
    clock.advance(1.0)
    await call(limiter.acquire, "k", timeout=0)

    assert clock.now() == 1.0


async def test_waiting_for_one_key_holds_no_other_up(still):
    """Each key has its own line."""
    _, line = await full_line("token", still, "ab")

    await line.join("other", key="other")

    assert line.seconds == {"other": 0.0}
    await line.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["k", None])
async def test_after_a_reset_waiters_go_in_their_order(still, kind, key):
    """The forgotten bucket is new: the first in line goes at once, the rest at its pace."""
    limiter, line = await full_line(kind, still)
    await line.advance(0.5)

    await limiter.reset(key)
    await settle()
    assert line.seconds == {"a": 0.5}
    await line.advance(3.0, step=0.25)

    assert line.order == list("abcd")
    assert line.seconds == {"a": 0.5, "b": 1.5, "c": 2.5, "d": 3.5}


async def test_after_a_reset_a_burst_of_waiters_may_go(still):
    """A new bucket has its capacity: as many of those in line go at once, in order."""
    limiter, line = await full_line("token", still, "abcd", capacity=2)
    await line.advance(0.25)

    await limiter.reset("k")
    await settle()

    assert line.seconds == {"a": 0.25, "b": 0.25}
    assert not await limiter.allow("k")
    await line.advance(2.0, step=0.25)
    assert line.seconds == {"a": 0.25, "b": 0.25, "c": 1.25, "d": 2.25}


async def test_resetting_another_key_moves_nobody(still):
    """A reset concerns its key alone."""
    limiter, line = await full_line("token", still, "ab")

    await limiter.reset("other")
    await line.advance(2.0, step=0.5)

    assert line.seconds == {"a": 1.0, "b": 2.0}


async def simulate_a_crowd(clock, capacity: int, rate: int, seed: int, seconds: int):
    """Let people come at 1.5 times the rate, three in ten of whom leave again; who went when?"""
    chance = random.Random(seed)
    limiter = ASYNC.TokenBucket(capacity, rate, clock=clock)
    went: list[tuple[int, int]] = []
    tasks: list[asyncio.Task[None]] = []

    async def come(leaves_after: float | None) -> None:
        wait = asyncio.ensure_future(limiter.acquire("k", timeout=3.0))
        if leaves_after is not None:
            tasks.append(asyncio.ensure_future(leave(wait, leaves_after)))
        try:
            await wait
        except (RateLimitExceeded, asyncio.CancelledError):
            return
        went.append((nanos(clock.now()), 1))

    async def leave(wait: asyncio.Future[None], after: float) -> None:
        await clock.sleep_async(after)
        wait.cancel()

    while clock.now() < seconds:
        leaves_after = chance.uniform(0.001, 2.0) if chance.random() < 0.3 else None
        tasks.append(asyncio.ensure_future(come(leaves_after)))
        await clock.run_for(nanos(chance.expovariate(1.5 * rate)) / NANOS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [(at, cost) for at, cost in went if at <= seconds * NANOS]


@pytest.mark.parametrize("clocks", [lambda: MockClock(autojump=False), GateClock])
@pytest.mark.parametrize(("capacity", "rate", "seed"), [(1, 50, 1), (5, 50, 2), (10, 30, 3)])
async def test_with_three_in_ten_leaving_the_rate_is_still_granted(clocks, capacity, rate, seed):
    """At least 95 % of the rate goes to somebody, and never more than the rate.

    On a clock whose sleepers cannot be moved newcomers take the freed places: the same holds.
    """
    seconds = 12

    went = await simulate_a_crowd(clocks(), capacity, rate, seed, seconds)

    assert len(went) >= 0.95 * rate * seconds, f"seed {seed}"
    assert over_the_bound(went, capacity, rate) is None, f"seed {seed}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_limiter_made_in_one_loop_works_in_the_next(kind):
    """Places of a loop that is gone are given back; the next loop waits as if alone."""
    clock = MockClock()
    limiter = ASYNC.bucket(kind, 1, 1, clock=clock)
    left_behind = []

    async def leave_waiters_behind() -> None:
        await drain(limiter)
        left_behind.extend(asyncio.ensure_future(limiter.acquire("k")) for _ in range(3))
        await settle()

    async def wait() -> None:
        await limiter.acquire("k")
        await asyncio.gather(*(limiter.acquire("k") for _ in range(3)))

    asyncio.run(leave_waiters_behind())
    asyncio.run(wait())
    assert clock.now() == 4.0
    asyncio.run(wait())
    assert clock.now() == 8.0


async def test_a_crowd_that_waits_needs_no_hand_on_the_clock(clock):
    """With autojump, two hundred waiters go one after the other and nothing hangs."""
    limiter = ASYNC.LeakyBucket(1, 100, clock=clock)

    await asyncio.gather(*(limiter.acquire("k") for _ in range(200)))

    assert nanos(clock.now()) == 1_990_000_000


@pytest.mark.parametrize("kind", KINDS)
async def test_those_overdue_after_one_has_left_go_in_their_order(still, kind):
    """The first leaves, then time jumps past everybody's turn: in order, not the last first.

    Who moved up had its timer set anew, behind those of later comers that were overdue, too.
    """
    _, line = await full_line(kind, still, "abcdef")

    await line.leave("a")
    await line.advance(10.0)

    assert line.order == list("bcdef")


@pytest.mark.parametrize("kind", KINDS)
async def test_those_overdue_after_a_reset_go_in_their_order(still, kind):
    """The same when all have moved up, for the bucket was forgotten."""
    limiter, line = await full_line(kind, still, "abcdef")

    await limiter.reset("k")
    await line.advance(10.0)

    assert line.order == list("abcdef")
