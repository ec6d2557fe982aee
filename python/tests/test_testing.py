"""`limitpal.testing`: retries without waiting, or fewer of them; and functions that run later."""

import asyncio
import contextlib
import threading

import pytest

from helpers import Script, both, caught
from limitpal import InvalidConfigError, MockClock, RetryExhausted, RetryPolicy, testing


class NoSleep(MockClock):
    """A clock on which nobody may wait."""

    def sleep(self, seconds):
        """Fail unless there is nothing to wait for."""
        assert seconds == 0.0

    async def sleep_async(self, seconds):
        """Fail unless there is nothing to wait for."""
        assert seconds == 0.0


async def attempts(side, policy, clock):
    """Return how many attempts a run makes that always fails, and why it ends."""
    script = Script(OSError())
    error = await caught(side.run(side.Executor(retry_policy=policy, clock=clock), script))
    assert type(error) is RetryExhausted
    return script.count, error.reason


@both
async def test_tenacity_106_a_test_need_not_wait_between_attempts(side):
    """No patching of a sleep: in the block there is none; after it there is again."""
    policy = RetryPolicy(4, base_delay=5.0)
    clock = MockClock()

    with testing.retries():
        assert await attempts(side, policy, NoSleep()) == (4, "attempts")
        assert await attempts(side, policy, clock) == (4, "attempts")
    assert clock.now() == 0.0

    assert await attempts(side, policy, clock) == (4, "attempts")
    assert clock.now() == 15.0


@both
async def test_stamina_98_a_test_may_cap_attempts(side):
    """The fewer of the cap and the policy's; with `wait=True` the waits stay."""
    clock = MockClock()
    with testing.retries(max_attempts=2):
        assert await attempts(side, RetryPolicy(9), NoSleep()) == (2, "attempts")
        assert await attempts(side, RetryPolicy(1), NoSleep()) == (1, "attempts")
        assert await attempts(side, RetryPolicy(None), NoSleep()) == (2, "attempts")
    with testing.retries(wait=True, max_attempts=2):
        assert await attempts(side, RetryPolicy(9, base_delay=1.0), clock) == (2, "attempts")
    assert clock.now() == 1.0


@both
async def test_a_run_that_only_time_ends_still_ends(side):
    """A wait that is left out counts as if it had been."""
    policy = RetryPolicy(None, base_delay=1.0, max_elapsed=6.5)
    with testing.retries():
        assert await attempts(side, policy, NoSleep()) == (3, "elapsed")


@both
async def test_blocks_combine_and_end_in_any_order(side):
    """Any leaves the waits out, the fewest attempts count; a cap ends with its own block."""
    policy = RetryPolicy(9, base_delay=1.0)
    first, second = testing.retries(max_attempts=3), testing.retries(wait=True, max_attempts=2)
    first.__enter__()
    second.__enter__()
    assert await attempts(side, policy, NoSleep()) == (2, "attempts")
    first.__exit__(None, None, None)
    clock = MockClock()
    assert await attempts(side, policy, clock) == (2, "attempts")
    assert clock.now() == 1.0
    second.__exit__(None, None, None)
    assert await attempts(side, policy, MockClock()) == (9, "attempts")


def test_it_holds_for_threads_that_were_there_before():
    """A server in another thread is meant as well."""
    asked, answers = threading.Event(), []

    def serve():
        asked.wait()
        for attempt in RetryPolicy(3, base_delay=1.0).attempts(NoSleep()):
            with attempt:
                answers.append(attempt.number)
                if attempt.number < 3:
                    raise OSError

    server = threading.Thread(target=serve)
    server.start()
    with testing.retries():
        asked.set()
        server.join()

    assert answers == [1, 2, 3]


def test_an_error_in_the_block_ends_it():
    """The next test waits again."""
    with pytest.raises(ZeroDivisionError), testing.retries():
        raise ZeroDivisionError
    clock = MockClock()
    for attempt in RetryPolicy(2, base_delay=1.0).attempts(clock):
        with attempt:
            if attempt.number < 2:
                raise OSError
    assert clock.now() == 1.0


@pytest.mark.parametrize("cap", [0, -1, 1.5, "2", True])
def test_a_cap_that_is_no_number_is_refused(cap):
    """By name."""
    with pytest.raises(InvalidConfigError) as refusal, testing.retries(max_attempts=cap):
        pass

    assert refusal.value.parameter == "max_attempts"


def numbers():
    """Yield numbers, later."""
    yield 1


async def async_numbers():
    """Yield numbers, later still."""
    yield 1


def returned():
    """Return what yields."""
    return (n for n in (1, 2))


@contextlib.contextmanager
def opened():
    """Open something, later."""
    yield 1


@contextlib.asynccontextmanager
async def async_opened():
    """Open something, later still."""
    yield 1


@both
@pytest.mark.parametrize(
    ("function", "what"),
    [
        (numbers, "a generator"),
        (async_numbers, "a generator"),
        (returned, "a generator"),
        (opened, "a context manager"),
        (async_opened, "a context manager"),
    ],
)
async def test_what_runs_only_later_is_refused_rather_than_retried_wrongly(side, function, what):
    """A TypeError at the first call: its body has not run, and its errors would not be retried."""
    calls = []

    def call():
        calls.append(1)
        return function()

    executor = side.Executor(retry_policy=RetryPolicy(), clock=MockClock())
    answer = None
    try:
        answer = executor.run("k", call)
        if asyncio.iscoroutine(answer):
            await answer
    except TypeError as error:
        assert f"call returned {what}" in str(error)
    else:
        pytest.fail("it was believed to have run")
    assert calls == [1]


@both
async def test_what_only_resembles_them_comes_out(side):
    """A file is a context manager, a list can be iterated: both are values."""
    executor = side.Executor(retry_policy=RetryPolicy(), clock=MockClock())

    for value in ([1, 2], contextlib.nullcontext(), iter([1])):
        assert await side.run(executor, lambda value=value: value) is value
