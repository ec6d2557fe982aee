"""The async twin of the bucket that warms up, over the same core as the sync one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ._limiters import AsyncKeyedLimiter
from ._limitpal import WarmUpBucket

if TYPE_CHECKING:
    from ._clock import Clock
    from ._limitpal import Rate
    from ._options import Carry, Evict, Quota

__all__ = ["AsyncWarmUpBucket"]


class AsyncWarmUpBucket(AsyncKeyedLimiter):
    """The async twin of `WarmUpBucket`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncWarmUpBucket, MockClock
    >>> async def main():
    ...     limiter = AsyncWarmUpBucket(1, 10, warm_up=60, clock=MockClock())
    ...     return await limiter.allow("ann"), await limiter.allow("ann")
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        capacity: float,
        refill_rate: float | Rate,
        warm_up: float,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        cold_factor: float = 3.0,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: WarmUpBucket = WarmUpBucket(  # pyright: ignore[reportIncompatibleVariableOverride]
            capacity,
            refill_rate,
            warm_up,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            cold_factor=cold_factor,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )

    async def reconfigure(
        self,
        *,
        capacity: float | None = None,
        refill_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Change the limits of all keys that have none of their own; see `WarmUpBucket`."""
        self._core.reconfigure(capacity=capacity, refill_rate=refill_rate, carry=carry)

    async def configure(
        self,
        key: str | int,
        *,
        capacity: float | None = None,
        refill_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Give a key limits of its own, or change them; see `WarmUpBucket`."""
        self._core.configure(key, capacity=capacity, refill_rate=refill_rate, carry=carry)

    @property
    def capacity(self) -> int:
        """The burst of a warm key."""
        return self._core.capacity

    @property
    def refill_rate(self) -> float:
        """The rate per second of a warm key."""
        return self._core.refill_rate

    @property
    def warm_up(self) -> float:
        """The seconds of load after which a key is warm."""
        return self._core.warm_up

    @property
    def cold_factor(self) -> float:
        """How many times slower a cold key is."""
        return self._core.cold_factor
