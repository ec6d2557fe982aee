"""`current_attempt()`: each run's own, in every task and thread, and nothing left behind."""

import asyncio
import threading

import pytest

from helpers import Script, both, caught, settle
from limitpal import (
    AsyncResilientExecutor,
    Attempt,
    MockClock,
    ResilientExecutor,
    RetryPolicy,
    current_attempt,
)

EVERY_SECOND = RetryPolicy(max_attempts=3, base_delay=1.0, backoff=1.0)


def seen():
    """Returns what can be seen of the present attempt."""
    attempt = current_attempt()
    return attempt.number, attempt.elapsed, attempt.last_error, attempt.deadline


NOTHING = (1, 0.0, None, None)


@both
async def test_it_says_number_time_error_and_deadline(side):
    """Of the first attempt nothing, unless there is something to say."""
    clock = MockClock()
    busy = OSError("busy")
    script = Script(busy, busy, "done")

    for options, deadlines in (({}, [None] * 3), ({"timeout": 60.0}, [63.5] * 3)):
        script.calls.clear()
        attempts = []

        def call(attempts=attempts):
            attempts.append(seen())
            clock.advance(0.5)
            return script()

        executor = side.Executor(retry_policy=EVERY_SECOND, clock=clock, **options)
        assert await side.run(executor, call) == "done"

        # Without a timeout nobody notes when a run begins: its first attempt takes no time.
        first = 0.5 if options else 0.0
        times = [0.0, 1.0 + first, 2.5 + first]
        expected = zip((1, 2, 3), times, (None, busy, busy), deadlines, strict=True)
        assert attempts == list(expected)
        assert seen() == NOTHING


@both
async def test_the_wait_for_quota_counts(side):
    """It is part of the run, so the first attempt may begin late."""
    clock = MockClock()
    executor = side.Executor(side.TokenBucket(1, 0.5, clock=clock))
    await side.run(executor, lambda: None)

    assert await side.run(executor, lambda: current_attempt().elapsed) == pytest.approx(2.0)


@both
async def test_of_executors_within_each_other_it_is_the_innermost(side):
    """And the outer one again, when the inner run is over."""
    clock = MockClock()
    outer = side.Executor(retry_policy=EVERY_SECOND, timeout=60.0, clock=clock)
    inner = side.Executor(clock=clock)
    numbers = []

    async def call_async():
        numbers.append(("outer", current_attempt().number))
        await inner.run("inner", lambda: numbers.append(("inner", current_attempt().number)))
        numbers.append(("outer", current_attempt().number))
        if len(numbers) < 6:
            raise OSError

    def call():
        numbers.append(("outer", current_attempt().number))
        inner.run("inner", lambda: numbers.append(("inner", current_attempt().number)))
        numbers.append(("outer", current_attempt().number))
        if len(numbers) < 6:
            raise OSError

    await settle(outer.run("k", call_async if side.is_async else call))

    assert numbers == [
        (name, 1) if name == "inner" else (name, n)
        for n in (1, 2)
        for name in ("outer", "inner", "outer")
    ]


async def test_concurrent_tasks_read_their_own():
    """Whichever of them fails, and in whatever order they go on."""
    clock = MockClock()
    executor = AsyncResilientExecutor(retry_policy=EVERY_SECOND, clock=clock)

    async def task(number):
        left = number % 3

        async def call():
            nonlocal left
            await clock.sleep_async(0.1 * number)
            attempt = current_attempt().number
            if left:
                left -= 1
                raise OSError
            await asyncio.sleep(0)
            assert current_attempt().number == attempt
            return attempt

        return await executor.run("api", call)

    answers = await asyncio.gather(*(task(number) for number in range(30)))

    assert answers == [number % 3 + 1 for number in range(30)]
    assert seen() == NOTHING


def test_threads_read_their_own():
    """A run in one thread says nothing about another's."""
    clock = MockClock()
    executor = ResilientExecutor(retry_policy=EVERY_SECOND, timeout=60.0, clock=clock)
    inside, go_on = threading.Event(), threading.Event()

    def call():
        if current_attempt().number == 1:
            raise OSError
        inside.set()
        assert go_on.wait(20.0)
        return current_attempt().number

    answers = []
    thread = threading.Thread(target=lambda: answers.append(executor.run("api", call)))
    thread.start()
    assert inside.wait(20.0)
    assert seen() == NOTHING
    plain = ResilientExecutor(clock=clock)
    assert plain.run("api", seen)[::2] == NOTHING[::2]
    go_on.set()
    thread.join()
    assert answers == [2]


@both
@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_however_an_attempt_ends_its_mark_is_taken_away(side, end):
    """An error that is not retried, Ctrl-C and cancellation included."""
    executor = side.Executor(
        retry_policy=RetryPolicy(retry_on=OSError, base_delay=0), timeout=9.0, clock=MockClock()
    )

    with pytest.raises(end):
        await side.run(executor, Script(OSError(), end()))

    assert seen() == NOTHING


async def test_a_run_that_is_closed_from_elsewhere_leaves_no_mark():
    """As a collected coroutine is, in whatever context that happens."""
    executor = AsyncResilientExecutor(timeout=9.0, clock=MockClock())

    async def call():
        await asyncio.Event().wait()

    run = executor.run("api", call)
    run.send(None)
    assert current_attempt().deadline == 9.0
    threading.Thread(target=run.close).start()
    while run.cr_frame is not None:
        await asyncio.sleep(0)

    assert seen() == NOTHING
    assert executor.stats().cancelled == 1


async def test_a_loop_over_attempts_is_one_too():
    """Its `attempt` is the same concept, and is the present one in its block."""
    clock = MockClock()
    for attempt in EVERY_SECOND.attempts(clock):
        assert isinstance(attempt, Attempt)
        with attempt:
            clock.advance(0.5)
            assert current_attempt().number == attempt.number
            assert current_attempt().last_error is attempt.last_error
            if attempt.number < 3:
                raise OSError
    assert (attempt.number, attempt.elapsed) == (3, 3.0)
    async for attempt in EVERY_SECOND.attempts_async(clock):
        with attempt:
            if attempt.number == 1:
                raise OSError
            assert seen()[:2] == (2, 1.0)
    assert seen() == NOTHING


async def test_remaining_counts_down_and_ends_at_zero():
    """By the executor's clock."""
    clock = MockClock(start_time=100.0)
    executor = ResilientExecutor(attempt_timeout=2.0, clock=clock)

    def call():
        attempt = current_attempt()
        left = [attempt.remaining()]
        for _ in range(2):
            clock.advance(1.5)
            left.append(attempt.remaining())
        return attempt.deadline, left

    assert executor.run("api", call) == (102.0, [2.0, 0.5, 0.0])
    assert current_attempt().remaining() is None


def test_on_the_monotonic_clock_the_deadline_is_a_time_of_pythons():
    """So that it can be compared with `time.monotonic()`."""
    import time

    before = time.monotonic()
    deadline = ResilientExecutor(timeout=50.0).run("api", lambda: current_attempt().deadline)
    assert before + 50.0 <= deadline + 1e-3
    assert deadline <= time.monotonic() + 50.0 + 1e-3


async def test_it_is_part_of_no_attempt_where_a_run_failed_before_one():
    """A refusal marks nothing."""
    executor = AsyncResilientExecutor(timeout=1.0, clock=MockClock())
    assert type(await caught(executor.run("api", Script(ValueError())))) is ValueError
    assert seen() == NOTHING
