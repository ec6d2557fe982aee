"""The same words for sync and async limiters, and a clock that a test holds in its hand."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import limitpal
from models import NANOS, nanos

PATIENCE = 20.0  # real seconds after which a thread that should have moved is called stuck


@dataclass(frozen=True)
class Flavour:
    """The limiter classes of one colour."""

    name: str
    TokenBucket: type
    LeakyBucket: type
    CompositeLimiter: type
    ConcurrencyLimiter: type
    ResilientExecutor: type

    def bucket(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """Make a `token` or a `leaky` bucket: capacity and rate are the first two arguments."""
        return (self.TokenBucket if kind == "token" else self.LeakyBucket)(*args, **kwargs)

    def window(self, name: str) -> Any:
        """Return the class of a window by its sync name."""
        return self.named(name)

    def named(self, name: str) -> Any:
        """Return a class by its sync name."""
        return getattr(limitpal, name if self.name == "sync" else f"Async{name}")


SYNC = Flavour(
    "sync",
    limitpal.TokenBucket,
    limitpal.LeakyBucket,
    limitpal.CompositeLimiter,
    limitpal.ConcurrencyLimiter,
    limitpal.ResilientExecutor,
)
ASYNC = Flavour(
    "async",
    limitpal.AsyncTokenBucket,
    limitpal.AsyncLeakyBucket,
    limitpal.AsyncCompositeLimiter,
    limitpal.AsyncConcurrencyLimiter,
    limitpal.AsyncResilientExecutor,
)
BOTH = [SYNC, ASYNC]


async def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a sync method or await an async one: one test body drives both."""
    answer = method(*args, **kwargs)
    return await answer if inspect.isawaitable(answer) else answer


async def drain(limiter: Any, key: str = "k", cost: int | None = None) -> None:
    """Take the whole capacity at once."""
    whole = limiter.capacity if cost is None else cost
    assert await call(limiter.allow, key, cost=whole), f"{limiter!r} was not full"


async def settle(turns: int = 5) -> None:
    """Give the tasks that can run a few turns of the loop; no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)


class Line:
    """Tasks that acquire from one limiter, and who went when (in nanoseconds)."""

    def __init__(self, limiter: Any, clock: Any) -> None:
        self.limiter = limiter
        self.clock = clock
        self.went: list[tuple[str, int]] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, key: str = "k", **asked: Any) -> asyncio.Task[None]:
        """Start one who waits, and return when it stands in the line."""

        async def wait() -> None:
            await self.limiter.acquire(key, **asked)
            self.went.append((name, nanos(self.clock.now())))

        self.tasks[name] = asyncio.ensure_future(wait())
        await settle()
        return self.tasks[name]

    async def advance(self, seconds: float, step: float = 0.0) -> None:
        """Move the clock, by `step` at a time if given, and let those who are due go."""
        left, stride = nanos(seconds), nanos(step or seconds)
        while left > 0:
            self.clock.advance(min(left, stride) / NANOS)
            left -= stride
            await settle()

    async def leave(self, name: str) -> None:
        """Cancel one, wherever it stands."""
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        await settle()

    async def close(self) -> None:
        """Cancel who still waits."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    @property
    def order(self) -> list[str]:
        """Return the names in the order they went."""
        return [name for name, _ in self.went]

    @property
    def seconds(self) -> dict[str, float]:
        """Return when each went, in seconds."""
        return {name: at / NANOS for name, at in self.went}


class Counted:
    """Awaits what it is given, and counts how often the event loop resumed it."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable
        self.resumed = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self.awaitable.__await__()
        sent = None
        while True:
            try:
                asked = inner.send(sent)
            except StopIteration as stop:
                return stop.value
            sent = yield asked
            self.resumed += 1


class GateClock:
    """A user's own clock: threads and tasks sleep on it until the test moves it.

    It offers what the protocol asks and no more, so nobody can move its sleepers.
    """

    def __init__(self) -> None:
        self.time = 0
        self.slept = 0
        self.gate = threading.Condition()
        self.asleep: list[int] = []
        self.interrupted: dict[int, BaseException] = {}
        self.futures: list[tuple[int, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time / NANOS

    def sleep(self, seconds: float) -> None:
        with self.gate:
            self.slept += 1
            deadline = self.time + nanos(seconds)
            self.asleep.append(deadline)
            self.gate.notify_all()
            try:
                while self.time < deadline:
                    if not self.gate.wait(PATIENCE):
                        raise AssertionError(f"the test never moved the clock to {deadline}")
                    if deadline in self.interrupted:
                        raise self.interrupted.pop(deadline)
            finally:
                self.asleep.remove(deadline)
                self.gate.notify_all()

    async def sleep_async(self, seconds: float) -> None:
        self.slept += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.futures.append((self.time + nanos(seconds), future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time (back, too) and wake those who are due."""
        with self.gate:
            self.time += nanos(seconds)
            self.gate.notify_all()
        for entry in sorted(self.futures, key=lambda entry: entry[0]):
            deadline, future = entry
            if deadline <= self.time:
                self.futures.remove(entry)
                if not future.done():
                    future.set_result(None)

    async def run_for(self, seconds: float) -> None:
        """Step through every deadline of the tasks on the way, letting them settle."""
        end = self.time + nanos(seconds)
        while due := [deadline for deadline, _ in self.futures if deadline <= end]:
            self.advance(max(0, min(due) - self.time) / NANOS)
            await settle()
        self.advance((end - self.time) / NANOS)
        await settle()

    def interrupt(self, deadline: float, error: BaseException) -> None:
        """Raise `error` in the thread that sleeps until `deadline`, as Ctrl-C would."""
        with self.gate:
            self.interrupted[nanos(deadline)] = error
            self.gate.notify_all()

    def await_sleepers(self, count: int) -> None:
        """Wait, in real time, until `count` threads sleep here."""
        with self.gate:
            settled = self.gate.wait_for(lambda: len(self.asleep) == count, PATIENCE)
        assert settled, f"{len(self.asleep)} threads sleep, not {count}"


class Crew:
    """Threads that acquire from one sync limiter, and who went when."""

    def __init__(self, limiter: Any, clock: Any) -> None:
        self.limiter = limiter
        self.clock = clock
        self.went: list[tuple[str, int]] = []
        self.failed: dict[str, BaseException] = {}
        self.threads: list[threading.Thread] = []
        self.news = threading.Condition()

    def start(self, name: str, key: str = "k", **asked: Any) -> None:
        """Start a thread that acquires."""

        def wait() -> None:
            try:
                self.limiter.acquire(key, **asked)
            except BaseException as error:
                self.failed[name] = error
            else:
                self.went.append((name, nanos(self.clock.now())))
            with self.news:
                self.news.notify_all()

        self.threads.append(threading.Thread(target=wait, daemon=True, name=name))
        self.threads[-1].start()

    def await_gone(self, count: int) -> None:
        """Wait, in real time, until `count` have gone or failed."""
        with self.news:
            gone = self.news.wait_for(lambda: len(self.went) + len(self.failed) >= count, PATIENCE)
        assert gone, f"only {self.went} and {self.failed}, not {count}"

    def join(self) -> None:
        """Wait until all have gone."""
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), f"thread {thread.name} is stuck"
