"""Waiting where a sleeper cannot be moved: threads, and a user's own clock."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from driving import ASYNC, PATIENCE, SYNC, Crew, GateClock, Line, drain
from limitpal import MonotonicClock, RateLimitExceeded
from models import NANOS, nanos, over_the_bound

KINDS = ["token", "leaky"]


class Interrupt(BaseException):
    """What a signal handler raises in a sleeping thread."""


def started(kind: str, clock: GateClock, names: str) -> tuple:
    """Drain a bucket of one per second and put a thread per name in its line."""
    limiter = SYNC.bucket(kind, 1, 1, clock=clock)
    assert limiter.allow("k")
    crew = Crew(limiter, clock)
    for n, name in enumerate(names, 1):
        crew.start(name)
        clock.await_sleepers(n)
    return limiter, crew


@pytest.mark.parametrize("kind", KINDS)
def test_threads_go_in_the_order_they_came(kind):
    """Blocking `acquire` is first come, first served across threads."""
    clock = GateClock()
    _, crew = started(kind, clock, "abcd")

    for gone in range(1, 5):
        clock.advance(1.0)
        crew.await_gone(gone)
        clock.await_sleepers(4 - gone)

    crew.join()
    assert crew.went == [(name, n * NANOS) for n, name in enumerate("abcd", 1)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_threads_freed_place_goes_to_a_newcomer(kind):
    """b is interrupted; c sleeps on, and who comes now takes b's place."""
    clock = GateClock()
    limiter, crew = started(kind, clock, "abc")
    clock.advance(0.5)
    clock.interrupt(2.0, Interrupt())
    clock.await_sleepers(2)

    with pytest.raises(RateLimitExceeded) as refusal:
        limiter.acquire("k", timeout=1.0)
    crew.start("d")
    clock.await_sleepers(3)
    for gone in (2, 2, 3, 3, 4):  # the interrupted one is gone already
        clock.advance(0.5)
        crew.await_gone(gone)

    crew.join()
    assert refusal.value.retry_after == 1.5
    assert isinstance(crew.failed["b"], Interrupt)
    assert dict(crew.went) == {"a": NANOS, "d": 2 * NANOS, "c": 3 * NANOS}


def test_a_freed_place_that_has_passed_admits_nobody_extra():
    """A place freed and not taken in time is gone: the bound holds in every window."""
    clock = GateClock()
    limiter, crew = started("token", clock, "abc")
    clock.interrupt(2.0, Interrupt())
    clock.await_sleepers(2)
    takes = [(0, 1)]

    for step in range(1, 60):
        clock.advance(0.1)
        crew.await_gone(1 + (step >= 10) + (step >= 30))  # b is gone, then a, then c
        while step > 20 and limiter.allow("k"):
            takes.append((step * 100_000_000, 1))
    crew.join()
    takes += [(nanos(n), 1) for n, name in ((1, "a"), (3, "c")) if name in dict(crew.went)]

    assert len(takes) > 4
    assert over_the_bound(takes, 1, 1) is None


def test_an_error_of_the_clock_comes_out_and_gives_the_place_back():
    """A clock whose `sleep` raises: the error unchanged, and the quota is not lost."""
    error = OSError("clock unplugged")

    class Unplugged:
        time = 0.0

        def now(self) -> float:
            return self.time

        def sleep(self, seconds: float) -> None:
            raise error

        async def sleep_async(self, seconds: float) -> None:
            raise error

    for classes in (SYNC, ASYNC):
        clock = Unplugged()
        limiter = classes.TokenBucket(1, 1, clock=clock)
        for _ in range(3):
            with pytest.raises(OSError, match="unplugged") as caught:
                acquire_twice(limiter, classes)
            assert caught.value is error
        clock.time = 1.0
        assert run(limiter.allow("k"))
        assert not run(limiter.allow("k"))


def run(answer):
    """Finish a coroutine, or pass a plain answer on."""
    if asyncio.iscoroutine(answer):
        return asyncio.run(answer)
    return answer


def acquire_twice(limiter, classes) -> None:
    """Take the burst if it is there, then wait."""
    run(limiter.allow("k"))
    run(limiter.acquire("k"))


async def test_on_a_users_clock_tasks_keep_their_order():
    """Tasks that sleep on a user's clock go first come, first served."""
    clock = GateClock()
    limiter = ASYNC.TokenBucket(1, 1, clock=clock)
    await drain(limiter)
    line = Line(limiter, clock)
    for name in "abc":
        await line.join(name)

    await line.advance(3.0, step=0.5)

    assert line.seconds == {"a": 1.0, "b": 2.0, "c": 3.0}


@pytest.mark.parametrize("kind", KINDS)
async def test_who_waits_on_a_users_clock_sleeps_once(kind):
    """A hundred waiters ask the clock for a hundred sleeps, each until its own time."""
    clock = GateClock()
    limiter = ASYNC.bucket(kind, 1, 10, clock=clock)
    await drain(limiter)
    line = Line(limiter, clock)
    for n in range(100):
        await line.join(str(n))

    deadlines = [deadline for deadline, _ in clock.futures]
    await line.advance(10.0, step=0.1)

    assert deadlines == [n * 100_000_000 for n in range(1, 101)]
    assert clock.slept == 100
    assert line.order == [str(n) for n in range(100)]


@pytest.mark.parametrize("leaver", range(3))
async def test_on_a_users_clock_a_freed_place_goes_to_a_newcomer(leaver):
    """The others keep their times and their order; the newcomer goes at the freed time."""
    clock = GateClock()
    limiter = ASYNC.TokenBucket(1, 1, clock=clock)
    await drain(limiter)
    line = Line(limiter, clock)
    for name in "abc":
        await line.join(name)

    await line.advance(0.5)
    await line.leave("abc"[leaver])
    await line.join("new")
    await line.advance(4.0, step=0.5)

    expected = {name: float(n) for n, name in enumerate("abc", 1)}
    expected["new"] = expected.pop("abc"[leaver])
    assert line.seconds == expected


async def test_a_crowd_on_a_users_clock_never_exceeds_the_rate():
    """Leaving and coming at odd times on a clock with unmovable sleepers keeps the bound."""
    clock = GateClock()
    limiter = ASYNC.TokenBucket(2, 3, clock=clock)
    line = Line(limiter, clock)
    takes = []

    for n in range(120):
        await line.join(str(n))
        if n % 3 == 0:
            await line.leave(str(n))
        if n % 7 == 0 and await limiter.allow("k"):
            takes.append((clock.time, 1))
        await clock.run_for(0.211)
    await clock.run_for(60.0)

    takes += [(at, 1) for _, at in line.went]
    assert len(takes) >= 70
    assert over_the_bound(takes, 2, 3) is None


def test_many_threads_share_exactly_the_quota():
    """Eight threads that hammer one key while time stands still take the capacity, no more."""
    clock = GateClock()
    limiter = SYNC.TokenBucket(1000, 1, clock=clock)
    taken = []

    def hammer() -> None:
        taken.append(sum(limiter.allow("k") for _ in range(500)))

    threads = [threading.Thread(target=hammer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert sum(taken) == 1000


def test_real_threads_get_the_rate_and_no_more():
    """Sixteen real threads on the real clock: forty permits at 200 per second take 0.2 s."""
    limiter = SYNC.TokenBucket(1, 200)
    clock = MonotonicClock()
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
    assert elapsed >= 39 / 200
    assert elapsed < 39 / 200 + 2.0


def test_real_tasks_in_two_threads_share_one_limiter():
    """One async limiter in two event loops at once, on the real clock."""
    limiter = ASYNC.TokenBucket(1, 200)
    begin = time.monotonic()
    failures = []

    async def work() -> None:
        await asyncio.gather(*(limiter.acquire("k") for _ in range(15)))

    def thread() -> None:
        try:
            asyncio.run(asyncio.wait_for(work(), PATIENCE))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=thread) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(PATIENCE + 1)

    assert failures == []
    assert time.monotonic() - begin >= 29 / 200


def test_a_real_cancel_from_one_loop_moves_a_waiter_of_another_loop_up():
    """The place that a task of one thread leaves is taken by a task of another thread."""
    limiter = ASYNC.TokenBucket(1, 1)
    queued, left = threading.Event(), threading.Event()
    begin = time.monotonic()

    async def leaves() -> None:
        await limiter.allow("k")
        task = asyncio.ensure_future(limiter.acquire("k"))
        await asyncio.sleep(0.05)
        queued.set()
        while not left.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stays() -> None:
        task = asyncio.ensure_future(limiter.acquire("k"))
        await asyncio.sleep(0.05)
        left.set()
        await asyncio.wait_for(task, PATIENCE)

    first = threading.Thread(target=lambda: asyncio.run(leaves()))
    first.start()
    assert queued.wait(PATIENCE)
    asyncio.run(stays())
    first.join(PATIENCE)

    assert 0.9 <= time.monotonic() - begin < 1.8


async def test_a_real_wait_is_as_long_as_retry_after_says():
    """On the monotonic clock: wait `retry_after`, and it is allowed."""
    limiter = ASYNC.TokenBucket(1, 50)
    assert await limiter.allow("k")
    decision = await limiter.check("k")
    assert 0.0 < decision.retry_after <= 0.02

    time.sleep(decision.retry_after)

    assert await limiter.allow("k")
