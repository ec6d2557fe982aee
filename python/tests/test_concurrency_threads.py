"""Threads that wait for a permit, which only another thread can give."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from driving import PATIENCE, GateClock
from helpers import HandClock
from limitpal import AsyncConcurrencyLimiter, ConcurrencyLimiter, MockClock, RateLimitExceeded


class Crew:
    """Threads that acquire from one limiter, and what each of them got."""

    def __init__(self, limiter):
        self.limiter = limiter
        self.got = {}
        self.threads = []
        self.news = threading.Condition()

    def start(self, name, **asked):
        """Start one, and return when it waits."""
        waiting = self.limiter.waiting("k")

        def acquire():
            try:
                answer = self.limiter.acquire("k", **asked)
            except BaseException as error:
                answer = error
            with self.news:
                self.got[name] = answer
                self.news.notify_all()

        self.threads.append(threading.Thread(target=acquire, daemon=True))
        self.threads[-1].start()
        deadline = time.monotonic() + PATIENCE
        while self.limiter.waiting("k") != waiting + 1:
            assert time.monotonic() < deadline, f"{name} does not wait"
            time.sleep(0)

    def await_answer(self, name):
        """Wait, in real time, until one has its answer."""
        with self.news:
            assert self.news.wait_for(lambda: name in self.got, PATIENCE), f"{name} is stuck"
        return self.got[name]

    def join(self):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def held(limit=1, **options):
    """A limiter all of whose permits are out, the one permit, and a crew."""
    limiter = ConcurrencyLimiter(limit, **options)
    return limiter, limiter.acquire("k", cost=limit), Crew(limiter)


CLOCKS = {
    "monotonic": lambda: None,
    "mock": MockClock,
    "the user's": GateClock,
}
each_clock = pytest.mark.parametrize("clock", CLOCKS)


@each_clock
def test_threads_go_in_the_order_in_which_they_came(clock):
    """Without a timeout only another thread ends the wait, whatever the clock."""
    limiter, permit, crew = held(clock=CLOCKS[clock]())
    for name in "abcd":
        crew.start(name)

    for rank, name in enumerate("abcd"):
        permit.release()
        permit = crew.await_answer(name)
        assert list(crew.got) == list("abcd")[: rank + 1]
    permit.release()

    crew.join()
    assert len(limiter) == 0


@pytest.mark.parametrize("clock", ["monotonic", "the user's"])
@pytest.mark.parametrize("timeout", [3600.0, 1e12])
def test_a_long_timeout_does_not_keep_a_thread_from_going(clock, timeout):
    """Nobody can end the sleep of a user's clock: the permit does not wait for that."""
    _, permit, crew = held(clock=CLOCKS[clock]())
    crew.start("a", timeout=timeout)

    permit.release()

    crew.await_answer("a").release()
    crew.join()


def test_a_real_timeout_ends_a_real_wait():
    """On the monotonic clock, no earlier."""
    limiter, _permit, _ = held()
    begin = time.monotonic()

    with pytest.raises(RateLimitExceeded) as refusal:
        limiter.acquire("k", timeout=0.02)

    assert time.monotonic() - begin >= 0.02
    assert (refusal.value.retry_after, limiter.waiting("k")) == (None, 0)


def test_a_timeout_moves_a_mock_clock_as_its_sleep_does():
    """To its own end; whoever is due on the way may give a permit back."""
    clock = MockClock()
    limiter, permit, _ = held(clock=clock)

    with pytest.raises(RateLimitExceeded):
        limiter.acquire("k", timeout=2.0)
    assert clock.now() == 2.0

    class Releasing(MockClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            permit.release()

    clock = Releasing()
    limiter, permit, _ = held(clock=clock)
    limiter.acquire("k", timeout=2.0).release()
    assert clock.now() == 2.0


def test_a_timeout_ends_by_a_clock_of_the_users():
    """Its sleep is asked for once, for the whole time."""
    clock = GateClock()
    limiter, permit, crew = held(clock=clock)
    crew.start("a", timeout=3.0)
    clock.await_sleepers(1)

    clock.advance(3.0)

    assert isinstance(crew.await_answer("a"), RateLimitExceeded)
    assert (clock.slept, limiter.waiting("k")) == (1, 0)
    permit.release()
    crew.join()


def test_a_clock_by_hand_is_moved_by_its_sleep():
    """One thread alone: the timeout is over, and time is there."""
    clock = HandClock()
    limiter, _permit, _ = held(clock=clock)

    with pytest.raises(RateLimitExceeded):
        limiter.acquire("k", timeout=2.5)

    assert clock.time == 2.5


def test_an_error_of_the_users_clock_comes_out_and_leaves_no_place():
    """Unchanged, in the thread that waits."""
    error = OSError("clock unplugged")

    class Broken(HandClock):
        def sleep(self, seconds):
            raise error

    limiter, _permit, _ = held(clock=Broken())

    with pytest.raises(OSError, match="unplugged") as raised:
        limiter.acquire("k", timeout=5.0)

    assert raised.value is error
    assert limiter.waiting("k") == 0


def test_a_limit_that_changes_lets_in_more_and_turns_away_who_is_too_many():
    """Threads hear of it while they wait."""
    limiter, permit, crew = held(2)
    for name, cost in (("a", 1), ("two", 2), ("b", 1)):
        crew.start(name, cost=cost)

    limiter.set_limit(3)
    crew.await_answer("a")
    limiter.set_limit(1)
    refusal = crew.await_answer("two")
    assert isinstance(refusal, RateLimitExceeded)
    assert refusal.retry_after == float("inf")
    permit.release()
    crew.got["a"].release()

    crew.await_answer("b").release()
    crew.join()
    assert len(limiter) == 0


def test_so_many_wait_and_no_more():
    """The others are refused at once."""
    limiter, permit, crew = held(max_waiting=1)
    crew.start("a")

    with pytest.raises(RateLimitExceeded):
        limiter.acquire("k")
    permit.release()

    crew.await_answer("a").release()
    crew.join()


def test_a_task_that_gives_back_lets_in_a_thread_and_the_reverse():
    """One line for tasks and threads, where both go through one core."""
    twin = AsyncConcurrencyLimiter(1)
    crew = Crew(twin._core)

    async def main():
        async with twin.acquire("k"):
            crew.start("thread")
            task = asyncio.ensure_future(twin.acquire("k"))
            await asyncio.sleep(0)
        permit = await asyncio.to_thread(crew.await_answer, "thread")
        permit.release()
        (await asyncio.wait_for(task, PATIENCE)).release()

    asyncio.run(main())
    crew.join()
    assert len(twin) == 0


def test_threads_in_a_hurry_are_never_more_than_the_limit_inside():
    """Eight threads, two thousand turns, three at a time; some with a timeout of nothing."""
    limiter, inside, most = ConcurrencyLimiter(3, per_key=False), [], []
    failures = []

    def work(number):
        try:
            for turn in range(250):
                try:
                    permit = limiter.acquire(str(number), timeout=0 if turn % 5 == 0 else None)
                except RateLimitExceeded:
                    continue
                with permit:
                    inside.append(number)
                    most.append(len(inside))
                    inside.remove(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert failures == []
    assert 1 <= max(most) <= 3
    assert len(limiter) == 0


def test_a_thread_that_waits_lets_go_of_the_interpreter_and_uses_no_time():
    """In real time: others run while one waits, and it polls nothing."""
    program = textwrap.dedent(
        """
        import threading, time
        from limitpal import ConcurrencyLimiter

        limiter = ConcurrencyLimiter(1)
        held = limiter.acquire("k")
        waiter = threading.Thread(target=limiter.acquire, args=("k",))
        waiter.start()
        while not limiter.waiting("k"):
            time.sleep(0.001)
        begin = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - begin < 0.1, "it polls"
        held.release()
        waiter.join(10)
        assert not waiter.is_alive()
        """
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
