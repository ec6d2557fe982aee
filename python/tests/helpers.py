"""What the tests of the pipeline share: one body for sync and async, scripts, and clocks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from limitpal import (
    AsyncCompositeLimiter,
    AsyncConcurrencyLimiter,
    AsyncLeakyBucket,
    AsyncLimiter,
    AsyncResilientExecutor,
    AsyncTokenBucket,
    CircuitBreaker,
    CompositeLimiter,
    ConcurrencyLimiter,
    LeakyBucket,
    MockClock,
    ResilientExecutor,
    SyncLimiter,
    TokenBucket,
)


class Script:
    """A function that returns and raises as told; its last line repeats."""

    def __init__(self, *lines: object, clock: Any = None) -> None:
        self.lines = lines
        self.clock = clock
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.times: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        line = self.lines[min(len(self.calls), len(self.lines) - 1)]
        self.calls.append((args, kwargs))
        if self.clock is not None:
            self.times.append(self.clock.now())
        if isinstance(line, BaseException):
            raise line
        return line() if callable(line) else line

    @property
    def count(self) -> int:
        """Returns how often it was called."""
        return len(self.calls)


class HandClock:
    """A clock of the user's own: a sleep moves it, after `on_sleep` had its say."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        """Returns the time by hand."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Moves the time."""
        self.slept.append(seconds)
        if seconds > 0:
            self.on_sleep()
            self.time += seconds

    async def sleep_async(self, seconds: float) -> None:
        """Moves the time after a turn of the loop."""
        await asyncio.sleep(0)
        self.sleep(seconds)


class Side:
    """The sync or the async half of the package, driven by the same body."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "async"
        pick = (lambda sync, twin: twin) if self.is_async else (lambda sync, twin: sync)
        self.Executor = pick(ResilientExecutor, AsyncResilientExecutor)
        self.TokenBucket = pick(TokenBucket, AsyncTokenBucket)
        self.LeakyBucket = pick(LeakyBucket, AsyncLeakyBucket)
        self.CompositeLimiter = pick(CompositeLimiter, AsyncCompositeLimiter)
        self.ConcurrencyLimiter = pick(ConcurrencyLimiter, AsyncConcurrencyLimiter)
        self.Limiter = pick(SyncLimiter, AsyncLimiter)

    def function(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Returns `body` as what this side's users write: a function, or a coroutine function."""
        if self.is_async:

            async def attempt(*args: Any, **kwargs: Any) -> Any:
                return body(*args, **kwargs)

        else:

            def attempt(*args: Any, **kwargs: Any) -> Any:
                return body(*args, **kwargs)

        return attempt

    async def run(self, executor: Any, body: Callable[..., Any], key: str = "k") -> Any:
        """Runs `body` through the executor."""
        return await settle(executor.run(key, self.function(body)))

    async def call(self, breaker: CircuitBreaker, body: Callable[..., Any]) -> Any:
        """Calls `body` through the breaker, by `call` or by `call_async`."""
        call = breaker.call_async if self.is_async else breaker.call
        return await settle(call(self.function(body)))

    def own_limiter(self, acquire: Callable[..., None]) -> Any:
        """Returns a limiter of the user's own, duck typed, whose `acquire` runs this body."""
        return OwnAsyncLimiter(acquire) if self.is_async else OwnLimiter(acquire)

    def __repr__(self) -> str:
        return self.name


class OwnLimiter:
    """A sync limiter that knows nothing of ours."""

    def __init__(self, body: Callable[..., None]) -> None:
        self.body = body
        self.asked: list[tuple[str, float | None]] = []

    def allow(self, key: str = "default") -> bool:
        """Lets everybody through."""
        return True

    def acquire(self, key: str = "default", timeout: float | None = None) -> None:
        """Remembers who asked, and does as told."""
        self.asked.append((key, timeout))
        self.body()


class OwnAsyncLimiter:
    """An async limiter that knows nothing of ours."""

    def __init__(self, body: Callable[..., None]) -> None:
        self.body = body
        self.asked: list[tuple[str, float | None]] = []

    async def allow(self, key: str = "default") -> bool:
        """Lets everybody through."""
        return True

    async def acquire(self, key: str = "default", timeout: float | None = None) -> None:
        """Remembers who asked, and does as told."""
        self.asked.append((key, timeout))
        self.body()


SYNC = Side("sync")
ASYNC = Side("async")
both = pytest.mark.parametrize("side", [SYNC, ASYNC], ids=repr)
each_charge = pytest.mark.parametrize("charge", ["call", "attempt"])

# What ends a run from outside: never caught, never retried, never counted.
STOPS = [
    asyncio.CancelledError(),
    concurrent.futures.CancelledError(),
    KeyboardInterrupt(),
    SystemExit(3),
]


def name_of(value: object) -> str:
    """Returns a test's name for an error."""
    return f"{type(value).__module__}.{type(value).__name__}"


async def settle(value: Any) -> Any:
    """Awaits what can be awaited and returns the rest as it is."""
    return await value if inspect.isawaitable(value) else value


async def later(make: Callable[[], Any]) -> Any:
    """Makes a call only when it is awaited, so that a sync one raises there too."""
    return await settle(make())


def trip(breaker: CircuitBreaker) -> None:
    """Opens a circuit from outside, as another caller's failures would."""
    for _ in range(1000):
        if breaker.state == "open":
            return
        breaker.record_failure()
    raise AssertionError(f"{breaker!r} does not open")


def half_open(clock: Any, **settings: Any) -> CircuitBreaker:
    """Returns a half-open breaker on the clock, which moves by `recovery_timeout`."""
    settings = {"failure_threshold": 1, "recovery_timeout": 10.0, **settings}
    breaker = CircuitBreaker(clock=clock, **settings)
    trip(breaker)
    pass_time(clock, settings["recovery_timeout"])
    assert breaker.state == "half_open"
    return breaker


def pass_time(clock: Any, seconds: float) -> None:
    """Moves a mock clock, or one by hand."""
    if isinstance(clock, MockClock):
        clock.advance(seconds)
    else:
        clock.time += seconds


async def spin(turns: int = 10) -> None:
    """Gives the other tasks some turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def cancel(task: asyncio.Task[Any]) -> None:
    """Cancels a task and waits until it is gone."""
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled(), "the task swallowed its cancellation"


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Returns a loop of asyncio's own, or of uvloop."""
    if kind == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run_in(kind: str, main: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in a fresh loop of the kind, and closes the loop."""
    loop = new_loop(kind)
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


LOOPS = ["asyncio", "uvloop"] if sys.platform != "win32" else ["asyncio"]
each_loop = pytest.mark.parametrize("loop_kind", LOOPS)


async def caught(awaitable: Awaitable[Any]) -> BaseException:
    """Returns the error that an awaitable raises, whatever its kind."""
    try:
        result = await awaitable
    except BaseException as error:
        return error
    raise AssertionError(f"nothing was raised; got {result!r}")
