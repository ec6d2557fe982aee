"""Waiting for one of so many permits, in threads and in tasks, and the async limiter of them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ._clock import MockClock, MonotonicClock, call_later, running_loop, settle, try_running_loop
from ._limitpal import CompositePermit, ConcurrencyLimiter, ConcurrencyPermit
from ._plain import AsyncFromDict
from ._shown import as_async, refuse_to_pickle
from ._turn import Bell, moving

if TYPE_CHECKING:
    from ._clock import Clock, Future, Loop
    from ._stats import LimiterStats

__all__ = ["AsyncConcurrencyLimiter"]

Permit = TypeVar("Permit", bound=ConcurrencyPermit | CompositePermit)


class AsyncConcurrencyLimiter(AsyncFromDict):
    """The async twin of `ConcurrencyLimiter`: the same options, its calls as coroutines.

    What `acquire()` returns can be awaited, and used in an `async with` statement, which gives the
    permit back, also when the task is cancelled.

    >>> import asyncio
    >>> from limitpal import AsyncConcurrencyLimiter
    >>> async def main():
    ...     limiter = AsyncConcurrencyLimiter(2)
    ...     async with limiter.acquire("db"):
    ...         permit = await limiter.acquire("db")
    ...         full = await limiter.try_acquire("db") is None
    ...         permit.release()
    ...     return full, await limiter.in_flight("db")
    >>> asyncio.run(main())
    (True, 0)
    """

    def __init__(
        self,
        limit: float,
        *,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        max_waiting: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._core = ConcurrencyLimiter(
            limit, per_key=per_key, key_by=key_by, max_waiting=max_waiting, clock=clock
        )

    def acquire(
        self, key: str | int = "default", timeout: float | None = None, cost: int = 1
    ) -> Holding[ConcurrencyPermit]:
        """Wait for a permit; raise `RateLimitExceeded` if there is none within `timeout` seconds.

        Those who wait for one key go in the order in which they came; one that is cancelled gives
        its place to the next, or its permit, if that had come already.
        """
        return Holding(self._acquire(key, timeout, cost))

    async def _acquire(self, key: str | int, timeout: float | None, cost: int) -> ConcurrencyPermit:
        permit = self._core._enter(key, timeout, cost)
        if permit._waiting:
            try:
                await wait_for_permit(permit, self._core._clock)
                self._core._settle(permit, key, cost)
            except BaseException:
                permit.release()
                raise
        return permit

    async def try_acquire(
        self, key: str | int = "default", cost: int = 1
    ) -> ConcurrencyPermit | None:
        """Take a permit if there is one and nobody waits for it, else return None; never wait."""
        return self._core.try_acquire(key, cost)

    def allow(self, *_args: object, **_kwargs: object) -> None:
        """Refuse: a permit that nobody holds would limit nothing."""
        self._core.allow()

    def check(self, *_args: object, **_kwargs: object) -> None:
        """Refuse: a permit that nobody holds would limit nothing."""
        self._core.check()

    def peek(self, *_args: object, **_kwargs: object) -> None:
        """Refuse: what is free now may be gone; `in_flight()` and `waiting()` tell it."""
        self._core.peek()

    async def in_flight(self, key: str | int = "default") -> int:
        """Return how many permits of a key are out: the sum of their costs."""
        return self._core.in_flight(key)

    async def waiting(self, key: str | int = "default") -> int:
        """Return how many wait for a key."""
        return self._core.waiting(key)

    def stats(self) -> LimiterStats:
        """Return what became of its calls, but for how long they waited. It needs no `await`."""
        return self._core.stats()

    @property
    def limit(self) -> int:
        """How many permits of a key may be out."""
        return self._core.limit

    async def set_limit(self, limit: float) -> None:
        """Change the limit of all keys while it is in use.

        With a higher one more of those who wait go at once. With a lower one no permit is taken
        away, and there are no new ones until enough have come back; who waits for more than the
        new limit is refused.
        """
        self._core.set_limit(limit)

    def __contains__(self, key: str | int) -> bool:
        return key in self._core

    def __len__(self) -> int:
        return len(self._core)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return as_async(self, self._core)

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


class Holding(Coroutine[Any, Any, Permit], Generic[Permit]):
    """An acquire under way: to be awaited for the permit, or to hold it in an `async with`.

    It is a coroutine, so that a task can be made of it; one that is never awaited says so.
    """

    __slots__ = ("_coroutine", "_permit")

    def __init__(self, coroutine: Coroutine[Any, Any, Permit]) -> None:
        self._coroutine = coroutine
        self._permit: Permit | None = None

    def __await__(self) -> Generator[Any, Any, Permit]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> Permit:
        self._permit = await self._coroutine
        return self._permit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._permit is not None:
            self._permit.release()

    def send(self, value: Any, /) -> Any:
        """Go on, as a coroutine does."""
        return self._coroutine.send(value)

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None, /) -> Any:
        """Go on with an error, as a coroutine does."""
        if val is None and tb is None:
            return self._coroutine.throw(typ)
        return self._coroutine.throw(typ, val, tb)

    def close(self) -> None:
        """Stop, as a coroutine does."""
        self._coroutine.close()


async def wait_for_permit(permit: ConcurrencyPermit, clock: Clock) -> None:
    """Suspend the task until there is a permit, or its time is over."""
    waiter = _Waiter(permit, running_loop("a wait for a permit"))
    if not permit._arm(waiter.ring):
        return
    call_off: Callable[[], object] | None = None
    if permit._timeout is not None:
        call_off = call_later(clock, waiter.loop, permit._timeout, waiter.over)
    try:
        # Awaited directly: each hop between would cost a turn of the event loop.
        await waiter.future
    finally:
        if call_off is not None:
            call_off()


class _Waiter:
    """A permit that is waited for, and the future its task awaits."""

    __slots__ = ("_permit", "future", "loop")

    def __init__(self, permit: ConcurrencyPermit, loop: Loop) -> None:
        self._permit = permit
        self.loop = loop
        self.future: Future = loop.create_future()

    def ring(self) -> None:
        """Let the task go on; the core calls this, in any thread, once the wait is over."""
        try:
            running = try_running_loop()
            if running is self.loop or (running is None and not self.loop.is_running()):
                settle(self.future)
            else:
                self.loop.call_soon_threadsafe(settle, self.future)
        except RuntimeError:
            # The loop is closed, and nobody waits there any more. One after another: the next one
            # may be of a closed loop too.
            moving.add(self._permit.release)

    def over(self, error: BaseException | None) -> None:
        """Let the task go on without: its time is over, or its clock has failed."""
        if self.future.done():
            return
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)


def wait_blocking(permit: ConcurrencyPermit, clock: Clock) -> None:
    """Block the thread until there is a permit, or its time is over.

    It waits for a lock that whoever lets it in releases: so nothing is polled, other threads run
    meanwhile, and Ctrl-C ends it.
    """
    timeout = permit._timeout
    if timeout is not None and isinstance(clock, MockClock):
        clock.sleep(timeout)
        return
    bell = Bell()
    if not permit._arm(bell.ring):
        return
    if timeout is None:
        bell.wait()
    elif type(clock) is MonotonicClock:
        bell.wait(timeout)
    else:
        bell.wait_while(lambda: clock.sleep(timeout))
