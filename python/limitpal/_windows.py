"""The async twins of the windows, over the same core as the sync ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ._limiters import AsyncKeyedLimiter
from ._limitpal import FixedWindow, SlidingWindowCounter, SlidingWindowLog

if TYPE_CHECKING:
    from ._clock import Clock
    from ._options import Carry, Evict, Quota

__all__ = ["AsyncFixedWindow", "AsyncSlidingWindowCounter", "AsyncSlidingWindowLog"]


class _AsyncWindow(AsyncKeyedLimiter):
    """What the async twins of the windows share."""

    # Narrower than the base has it, and set once.
    _core: FixedWindow | SlidingWindowCounter | SlidingWindowLog  # pyright: ignore[reportIncompatibleVariableOverride]

    async def reconfigure(
        self,
        *,
        limit: float | None = None,
        per: float | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Change the limits of all keys that have none of their own; see the sync twin."""
        self._core.reconfigure(limit=limit, per=per, carry=carry)

    async def configure(
        self,
        key: str | int,
        *,
        limit: float | None = None,
        per: float | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Give a key limits of its own, or change them; see the sync twin."""
        self._core.configure(key, limit=limit, per=per, carry=carry)

    @property
    def limit(self) -> int:
        """How many go in a window."""
        return self._core.limit

    @property
    def per(self) -> float:
        """The seconds that a window lasts."""
        return self._core.per


class AsyncFixedWindow(_AsyncWindow):
    """The async twin of `FixedWindow`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncFixedWindow, MockClock
    >>> async def main():
    ...     limiter = AsyncFixedWindow(limit=1, per=60, clock=MockClock())
    ...     return await limiter.allow("ann"), await limiter.allow("ann")
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        limit: float,
        per: float,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        align: str = "clock",
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: FixedWindow = FixedWindow(  # pyright: ignore[reportIncompatibleVariableOverride]
            limit,
            per,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            align=align,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )

    @property
    def align(self) -> str:
        """Where windows start: 'clock' or 'first_use'."""
        return self._core.align


class AsyncSlidingWindowCounter(_AsyncWindow):
    """The async twin of `SlidingWindowCounter`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncSlidingWindowCounter, MockClock
    >>> async def main():
    ...     limiter = AsyncSlidingWindowCounter(limit=1, per=60, clock=MockClock())
    ...     return await limiter.allow("ann"), await limiter.allow("ann")
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        limit: float,
        per: float,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: SlidingWindowCounter = SlidingWindowCounter(  # pyright: ignore[reportIncompatibleVariableOverride]
            limit,
            per,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )


class AsyncSlidingWindowLog(_AsyncWindow):
    """The async twin of `SlidingWindowLog`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncSlidingWindowLog, MockClock
    >>> async def main():
    ...     limiter = AsyncSlidingWindowLog(limit=1, per=60, clock=MockClock())
    ...     return await limiter.allow("ann"), await limiter.allow("ann")
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        limit: float,
        per: float,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: SlidingWindowLog = SlidingWindowLog(  # pyright: ignore[reportIncompatibleVariableOverride]
            limit,
            per,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )
