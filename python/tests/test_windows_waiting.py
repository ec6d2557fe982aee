"""Waiting for windows: threads, tasks and a clock whose sleepers cannot be moved."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest

from driving import ASYNC, SYNC, Crew, GateClock, Line
from limitpal import MockClock, MonotonicClock, RateLimitExceeded
from models import NANOS, nanos

# Of a limit of one per second: what went in one window of the clock counts to the end of the next
# in the counter's estimate.
TURNS = {"FixedWindow": 1.0, "SlidingWindowCounter": 2.0, "SlidingWindowLog": 1.0}
KINDS = list(TURNS)


class Interrupt(BaseException):
    """What a signal handler raises in a sleeping thread."""


def started(kind: str, clock: GateClock, names: str) -> tuple:
    """Empty a window of one and put a thread per name in its line."""
    limiter = SYNC.window(kind)(1, 1, clock=clock)
    assert limiter.allow("k")
    crew = Crew(limiter, clock)
    for n, name in enumerate(names, 1):
        crew.start(name)
        clock.await_sleepers(n)
    return limiter, crew


@pytest.mark.parametrize("kind", KINDS)
def test_threads_go_in_the_order_they_came_each_in_its_turn(kind):
    """Blocking `acquire` is first come, first served across threads, to the nanosecond."""
    clock, turn = GateClock(), TURNS[kind]
    _, crew = started(kind, clock, "abcd")

    for gone in range(1, 5):
        clock.advance(turn - 1e-9)
        assert len(crew.went) == gone - 1
        clock.advance(1e-9)
        crew.await_gone(gone)
        clock.await_sleepers(4 - gone)

    crew.join()
    assert crew.went == [(name, nanos(n * turn)) for n, name in enumerate("abcd", 1)]
    assert clock.slept == 4, "each sleeps once"


@pytest.mark.parametrize("kind", KINDS)
def test_a_thread_that_is_interrupted_holds_nobody_up(kind):
    """b is interrupted; the others keep their turns, and nothing is admitted beyond them."""
    clock, turn = GateClock(), TURNS[kind]
    limiter, crew = started(kind, clock, "abc")
    clock.interrupt(2 * turn, Interrupt())
    clock.await_sleepers(2)

    for gone in (2, 2, 3):  # the interrupted one is gone already
        clock.advance(turn)
        crew.await_gone(gone)

    crew.join()
    assert isinstance(crew.failed["b"], Interrupt)
    assert dict(crew.went) == {"a": nanos(turn), "c": nanos(3 * turn)}
    assert not limiter.allow("k")
    clock.advance(turn)
    assert limiter.allow("k")


def most_in_any(went: list[int], seconds: float) -> int:
    """Return the most that went in any stretch of so many seconds."""
    went = sorted(went)
    ends = [sum(start <= at < start + nanos(seconds) for at in went) for start in went]
    return max(ends, default=0)


def admitted_to_one_who_hammers(kind: str, limit: int, seconds: float) -> int:
    """Return how many the window lets in at the most regular: who comes again when it may."""
    clock, count = MockClock(), 0
    limiter = SYNC.window(kind)(limit, 1, clock=clock)
    while clock.now() < seconds:
        count += limiter.allow("k")
        clock.advance(limiter.peek("k").retry_after)
    return count


async def crowd(limiter, clock, limit: int, seed: int, seconds: int) -> list[int]:
    """Let people come at 1.5 times the rate, three in ten of whom leave again; who went when?"""
    chance, went, tasks = random.Random(seed), [], []

    async def come(leaves_after: float | None) -> None:
        wait = asyncio.ensure_future(limiter.acquire("k", timeout=3.0))
        if leaves_after is not None:
            tasks.append(asyncio.ensure_future(leave(wait, leaves_after)))
        try:
            await wait
        except (RateLimitExceeded, asyncio.CancelledError):
            return
        went.append(nanos(clock.now()))

    async def leave(wait: asyncio.Future[None], after: float) -> None:
        await clock.sleep_async(after)
        wait.cancel()

    while clock.now() < seconds:
        leaves_after = chance.uniform(0.001, 2.0) if chance.random() < 0.3 else None
        tasks.append(asyncio.ensure_future(come(leaves_after)))
        await clock.run_for(nanos(chance.expovariate(1.5 * limit)) / NANOS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [at for at in went if at < seconds * NANOS]


@pytest.mark.parametrize("kind", KINDS)
async def test_with_three_in_ten_leaving_what_a_window_can_admit_is_granted(kind):
    """At least 95 % of what it admits to one who hammers, and never more than it may at worst."""
    limit, seconds, clock = 40, 12, MockClock(autojump=False)
    limiter = ASYNC.window(kind)(limit, 1, clock=clock)

    went = await crowd(limiter, clock, limit, 1, seconds)

    assert len(went) >= 0.95 * admitted_to_one_who_hammers(kind, limit, seconds)
    worst = {"FixedWindow": 2 * limit, "SlidingWindowCounter": 2 * limit - 1}
    assert most_in_any(went, 1) <= worst.get(kind, limit)


@pytest.mark.parametrize("kind", KINDS)
async def test_on_a_clock_of_ones_own_a_hundred_sleep_once_each(kind):
    """A hundred waiters ask the clock for a hundred sleeps, each until its own time."""
    clock = GateClock()
    line = Line(ASYNC.window(kind)(1, 1, clock=clock), clock)
    for n in range(101):
        await line.join(str(n))

    await line.advance(100 * TURNS[kind], step=0.5)

    assert clock.slept == 100
    assert line.went == [(str(n), nanos(n * TURNS[kind])) for n in range(101)]


def test_sixteen_real_threads_get_what_a_window_admits_and_no_more():
    """On the real clock: forty permits, ten in each twentieth of a second, take 0.15 s."""
    clock = MonotonicClock()
    limiter = SYNC.window("SlidingWindowLog")(10, 0.05)
    crew = Crew(limiter, clock)
    begin = clock.now()

    def work() -> None:
        for _ in range(2):
            limiter.acquire("k")
            crew.went.append(("", nanos(clock.now())))

    crew.threads = [threading.Thread(target=work, daemon=True) for _ in range(20)]
    for thread in crew.threads:
        thread.start()
    crew.join()
    elapsed = clock.now() - begin

    assert len(crew.went) == 40
    assert 0.15 <= elapsed < 2.0
