"""A bulkhead: at most so many calls at a time, and at most so many who wait to be let in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar, overload

from ._awaitable import COROUTINE, LAZY, is_awaitable
from ._concurrency import AsyncConcurrencyLimiter, Holding
from ._lent import guard
from ._limitpal import ConcurrencyLimiter, _lazy
from ._plain import FromDict
from ._shown import refuse_to_pickle

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._clock import Clock
    from ._limitpal import ConcurrencyPermit

__all__ = ["Bulkhead"]

P = ParamSpec("P")
T = TypeVar("T")


class Bulkhead(FromDict):
    """Lets at most `limit` calls at a time reach whatever stands behind it.

    So one slow service does not take all threads, connections or memory along when it goes down.
    It is a `ConcurrencyLimiter` with one key for everybody, and a line with an end.

    - `limit`: how many may be inside, a whole number from 1 to 2^32-1
    - `max_waiting`: how many may wait to be let in, in the order in which they came; whoever comes
      then is refused at once. 0: nobody waits; None: any number may
    - `clock`: what timeouts go by; the monotonic one. An executor's runs go by the executor's

    Threads and tasks may use one bulkhead together: as `with` and `async with`, as a decorator, by
    `call()` and `call_async()`, or as the `bulkhead=` of executors. What is refused raises
    `BulkheadFull`.

    >>> from limitpal import Bulkhead, BulkheadFull
    >>> bulkhead = Bulkhead(1)
    >>> with bulkhead:
    ...     try:
    ...         bulkhead.call(print, "too many")
    ...     except BulkheadFull as refusal:
    ...         print(refusal)
    the bulkhead is full, 1 at a time; nobody can say until when
    >>> bulkhead.call(print, "alone")
    alone
    """

    def __init__(
        self, limit: float, max_waiting: int | None = 0, *, clock: Clock | None = None
    ) -> None:
        self._core = ConcurrencyLimiter._bulkhead(limit, max_waiting, clock)
        # The same gate, for those who await it.
        self._awaited = AsyncConcurrencyLimiter.__new__(AsyncConcurrencyLimiter)
        self._awaited._core = self._core  # pyright: ignore[reportPrivateUsage]
        # Of `with` statements. Permits are all alike: whoever leaves gives one back.
        self._held: list[ConcurrencyPermit] = []

    def acquire(self, timeout: float | None = None) -> ConcurrencyPermit:
        """Wait for a permit; raise `BulkheadFull` if there is none within `timeout` seconds.

        It raises at once where as many wait already as may. Give the permit back by `release()`,
        or use it in a `with` statement.
        """
        return self._core.acquire(timeout=timeout)

    def acquire_async(self, timeout: float | None = None) -> Holding[ConcurrencyPermit]:
        """As `acquire`, to be awaited, or used in an `async with` statement."""
        return self._awaited.acquire(timeout=timeout)

    def try_acquire(self) -> ConcurrencyPermit | None:
        """Take a permit if there is one and nobody waits for it, else return None; never wait."""
        return self._core.try_acquire()

    def call(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function inside; it waits to be let in, if somebody may."""
        with self._core.acquire():
            result = func(*args, **kwargs)
            if type(result) in LAZY:
                raise _lazy(result, func)
            if type(result) is COROUTINE or is_awaitable(result):
                _refuse(func, result)
            return result

    @overload
    async def call_async(
        self, func: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def call_async(self, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def call_async(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """As `call`; it awaits its turn, and what the function returns if that can be awaited."""
        async with self._awaited.acquire():
            result = func(*args, **kwargs)
            if type(result) is COROUTINE or is_awaitable(result):
                return await result
            if type(result) in LAZY:
                raise _lazy(result, func)
            return result

    def __call__(self, func: Callable[P, T]) -> Callable[P, T]:
        """Return a function like `func`, coroutine function or not, whose calls go inside."""
        return guard(self, func)

    def __enter__(self) -> Self:
        self._held.append(self._core.acquire())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.pop().release()

    async def __aenter__(self) -> Self:
        self._held.append(await self._awaited.acquire())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.pop().release()

    def in_flight(self) -> int:
        """Return how many are inside."""
        return self._core.in_flight()

    def waiting(self) -> int:
        """Return how many wait to be let in."""
        return self._core.waiting()

    @property
    def limit(self) -> int:
        """How many may be inside."""
        return self._core.limit

    @property
    def max_waiting(self) -> int | None:
        """How many may wait to be let in; None: any number."""
        return self._core._max_waiting

    def set_limit(self, limit: float) -> None:
        """Change how many may be inside, while it is in use.

        With a higher limit more of those who wait go at once. With a lower one nobody is sent
        away, and nobody comes in until enough have left.
        """
        self._core.set_limit(limit)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{repr(self._core).removeprefix('ConcurrencyLimiter')}"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


def _refuse(func: Callable[..., Any], result: Any) -> NoReturn:
    """Refuse what is to be awaited: it would run outside."""
    if hasattr(result, "close"):
        result.close()
    name = getattr(func, "__qualname__", repr(func))
    raise TypeError(f"{name} is async, it returned an awaitable; use call_async()")
