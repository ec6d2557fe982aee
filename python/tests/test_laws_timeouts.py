"""No run ends later than its deadline, whatever its attempts do and whatever it is made of."""

import asyncio
import contextlib
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from limitpal import (
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    LimitPalError,
    MockClock,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    TokenBucket,
    current_attempt,
)

# What an attempt does: it hangs (None), or takes so many seconds and then fails or not.
ACTS = st.lists(st.none() | st.tuples(st.integers(0, 3000), st.booleans()), min_size=1, max_size=9)
PARTS = st.fixed_dictionaries(
    {
        "timeout": st.integers(1, 6000),
        "share": st.none() | st.integers(1, 1000),
        "charge": st.sampled_from(["call", "attempt"]),
        "limited": st.booleans(),
        "broken": st.booleans(),
        "budget": st.booleans(),
        # None at all, and a run of attempts that take no time would never end.
        "delay": st.integers(1, 1500),
    }
)


def executor_of(parts, clock, kind, bucket):
    """Returns an executor of these parts on the clock."""
    timeout = parts["timeout"] / 1000
    share = parts["share"]
    return kind(
        bucket(1, 1.0, clock=clock) if parts["limited"] else None,
        RetryPolicy(max_attempts=None, base_delay=parts["delay"] / 1000),
        CircuitBreaker(failure_threshold=3, clock=clock) if parts["broken"] else None,
        clock,
        charge=parts["charge"],
        retry_budget=RetryBudget(ratio=0.5, clock=clock) if parts["budget"] else None,
        timeout=timeout,
        attempt_timeout=None if share is None else max(timeout * share / 1000, 1e-9),
    )


def settled(executor, clock):
    """Asserts what is true after any run: all is counted, nobody sleeps, nothing is marked."""
    stats = executor.stats()
    assert stats.calls == stats.successes + stats.failures + stats.refusals + stats.cancelled
    assert stats.attempts == stats.firsts + stats.retries
    assert stats.timeouts <= stats.attempts
    assert not clock._sleepers
    assert current_attempt().deadline is None


@settings(deadline=None)
@given(PARTS, ACTS, st.none() | st.integers(0, 9))
def test_no_awaited_run_ends_later_than_its_deadline(parts, acts, cancelled_after):
    """Cancelled at some turn of the loop, it leaves nothing."""

    async def main():
        clock = MockClock()
        executor = executor_of(parts, clock, AsyncResilientExecutor, AsyncTokenBucket)
        script = cycle(acts)

        async def call():
            act = next(script)
            if act is None:
                await asyncio.Event().wait()
            await clock.sleep_async(act[0] / 1000)
            if act[1]:
                raise OSError("busy")

        for _ in range(3):
            deadline = clock.now() + parts["timeout"] / 1000
            run = asyncio.ensure_future(executor.run("k", call))
            if cancelled_after is not None:
                for _ in range(cancelled_after):
                    await asyncio.sleep(0)
                run.cancel()
            await asyncio.wait([run])

            assert clock.now() <= deadline + 1e-9
            assert run.cancelled() or isinstance(run.exception(), LimitPalError | None)
            settled(executor, clock)
            clock.advance(0.5)

    asyncio.run(main())


@settings(deadline=None)
@given(PARTS, ACTS)
def test_no_wait_of_ours_ends_later_than_the_deadline(parts, acts):
    """A function that blocks cannot be ended; all else is a wait of ours."""
    clock = MockClock()
    executor = executor_of(parts, clock, ResilientExecutor, TokenBucket)
    script = cycle(acts)

    for _ in range(3):
        deadline = clock.now() + parts["timeout"] / 1000
        own = 0.0

        def call(deadline=deadline):
            nonlocal own
            assert clock.now() < deadline
            act = next(script)
            if act is None:
                raise OSError("hung up")
            clock.sleep(act[0] / 1000)
            own += act[0] / 1000
            if act[1]:
                raise OSError("busy")

        with contextlib.suppress(LimitPalError):
            executor.run("k", call)
        assert clock.now() - own < deadline
        settled(executor, clock)
        clock.advance(0.5)
