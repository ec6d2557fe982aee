"""The async twin of the fair bucket, over the same core as the sync one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ._limiters import AsyncKeyedLimiter
from ._limitpal import FairBucket

if TYPE_CHECKING:
    from ._clock import Clock
    from ._limitpal import Rate

__all__ = ["AsyncFairBucket"]


class AsyncFairBucket(AsyncKeyedLimiter):
    """The async twin of `FairBucket`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncFairBucket, MockClock
    >>> async def main():
    ...     limiter = AsyncFairBucket(capacity=4, refill_rate=2, clock=MockClock())
    ...     await limiter.allow("quiet")
    ...     return [await limiter.allow("hot") for _ in range(3)]
    >>> asyncio.run(main())
    [True, True, False]
    """

    def __init__(
        self,
        capacity: float,
        refill_rate: float | Rate,
        clock: Clock | None = None,
        *,
        active_for: float | None = None,
        key_by: Callable[[str], str | int] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: FairBucket = FairBucket(  # pyright: ignore[reportIncompatibleVariableOverride]
            capacity, refill_rate, clock, active_for=active_for, key_by=key_by
        )

    @property
    def capacity(self) -> int:
        """The burst of all together."""
        return self._core.capacity

    @property
    def refill_rate(self) -> float:
        """The rate per second of all together."""
        return self._core.refill_rate

    @property
    def active_for(self) -> float:
        """The seconds for which a key has its share after it has asked."""
        return self._core.active_for

    async def get_tokens(self) -> float:
        """Return the tokens of the whole bucket; a key's part of them is in `peek(key)`."""
        return self._core.get_tokens()
