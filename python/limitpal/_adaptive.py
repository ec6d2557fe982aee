"""The async twin of the adaptive limiter, over the same core as the sync one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from ._awaitable import COROUTINE, is_awaitable
from ._limiters import AsyncKeyedLimiter
from ._limitpal import AdaptiveLimiter

if TYPE_CHECKING:
    from ._clock import Clock
    from ._limitpal import Rate
    from ._options import Carry, Evict, Quota

__all__ = ["AsyncAdaptiveLimiter"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AsyncAdaptiveLimiter(AsyncKeyedLimiter):
    """The async twin of `AdaptiveLimiter`: the same options, its calls as coroutines.

    What never waits needs no `await`: `record_success`, `record_throttled` and `rate`.

    >>> import asyncio
    >>> from limitpal import AsyncAdaptiveLimiter, MockClock
    >>> async def main():
    ...     limiter = AsyncAdaptiveLimiter(100, throttled_on=ConnectionError, clock=MockClock())
    ...     return await limiter.call("api", asyncio.sleep, 0, "done"), limiter.rate("api")
    >>> asyncio.run(main())
    ('done', 100.0)
    """

    def __init__(
        self,
        max_rate: float | Rate,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        algorithm: Literal["cubic", "aimd"] = "cubic",
        min_rate: float | Rate | None = None,
        initial_rate: float | Rate | None = None,
        burst: float = 1,
        decrease: float | None = None,
        increase: float | None = None,
        cooldown: float = 0.5,
        forget_after: float = 600.0,
        throttled_on: type[Exception] | Iterable[type[Exception]] | None = None,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: AdaptiveLimiter = AdaptiveLimiter(  # pyright: ignore[reportIncompatibleVariableOverride]
            max_rate,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            algorithm=algorithm,
            min_rate=min_rate,
            initial_rate=initial_rate,
            burst=burst,
            decrease=decrease,
            increase=increase,
            cooldown=cooldown,
            forget_after=forget_after,
            throttled_on=throttled_on,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )

    def record_success(self, key: str | int = "default") -> None:
        """Hear that the other side did what a call asked for: the rate may rise."""
        self._core.record_success(key)

    def record_throttled(self, key: str | int = "default") -> None:
        """Hear that the other side throttled a call: the rate falls, unless it just has."""
        self._core.record_throttled(key)

    @overload
    async def call(
        self,
        key: str | int,
        func: Callable[_P, Awaitable[_T]],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T: ...
    @overload
    async def call(
        self, key: str | int, func: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> _T: ...
    async def call(
        self, key: str | int, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Wait for the turn, call a function, await what it returns, record what comes of it.

        A result is a success, an exception that `throttled_on` names is throttling. Any other
        says nothing about the rate, and neither do cancellation and refusals of our own.
        """
        core = self._core
        core._ready(func)
        await self.acquire(key)
        try:
            result = func(*args, **kwargs)
            if type(result) is COROUTINE or is_awaitable(result):
                result = await result
        except BaseException as error:
            core._failed(key, error)
            raise
        core.record_success(key)
        return result

    def rate(self, key: str | int = "default") -> float:
        """Return a key's rate now, in permits a second."""
        return self._core.rate(key)

    async def reconfigure(
        self,
        *,
        max_rate: float | Rate | None = None,
        burst: float | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Change the limits of all keys that have none of their own; see `AdaptiveLimiter`."""
        self._core.reconfigure(max_rate=max_rate, burst=burst, carry=carry)

    async def configure(
        self,
        key: str | int,
        *,
        max_rate: float | Rate | None = None,
        burst: float | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Give a key limits of its own, or change them; see `AdaptiveLimiter`."""
        self._core.configure(key, max_rate=max_rate, burst=burst, carry=carry)

    @property
    def max_rate(self) -> float:
        """The highest rate, per second."""
        return self._core.max_rate

    @property
    def min_rate(self) -> float:
        """The lowest rate, per second."""
        return self._core.min_rate

    @property
    def algorithm(self) -> Literal["cubic", "aimd"]:
        """How the rate moves: 'cubic' or 'aimd'."""
        return self._core.algorithm

    @property
    def burst(self) -> int:
        """How many may go at once."""
        return self._core.burst
