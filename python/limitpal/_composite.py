"""All or nothing over several async limiters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast

from ._awaitable import is_awaitable
from ._concurrency import AsyncConcurrencyLimiter, Holding, wait_for_permit
from ._limiters import (
    AsyncKeyedLimiter,
    AsyncLimiter,
    AsyncTokenBucket,
    check_async,
)
from ._limitpal import (
    CompositePermit,
    ConcurrencyLimiter,
    ConcurrencyPermit,
    Decision,
    KeyedLimiter,
    _CompositeCore,
    _invalid_config,
    _keys,
)
from ._plain import AsyncFromDict
from ._shown import refuse_to_pickle
from ._turn import take_turn

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._clock import Clock
    from ._events import Event
    from ._limitpal import CompositeRun, Subscription
    from ._options import AsyncPart
    from ._stats import LimiterStats

__all__ = ["AsyncCompositeLimiter"]


class AsyncCompositeLimiter(AsyncFromDict, AsyncLimiter):
    """The async twin of `CompositeLimiter`: all or nothing over several async limiters.

    >>> import asyncio
    >>> from limitpal import AsyncCompositeLimiter, AsyncTokenBucket, MockClock
    >>> async def main():
    ...     clock = MockClock()
    ...     limiter = AsyncCompositeLimiter([
    ...         AsyncTokenBucket(capacity=2, refill_rate=1, clock=clock),
    ...         AsyncTokenBucket(capacity=1, refill_rate=1, clock=clock, per_key=False),
    ...     ])
    ...     return await limiter.allow("ann"), await limiter.allow("bob")
    >>> asyncio.run(main())
    (True, False)

    With an `AsyncConcurrencyLimiter` among them `acquire()` is awaited for a permit, or used in an
    `async with` statement, which gives it back; and there is no bare `allow`, `check` or `peek`.
    """

    def __init__(
        self, limiters: Iterable[AsyncPart | AsyncConcurrencyLimiter], clock: Clock | None = None
    ) -> None:
        cores, pools, self._own, self._limiters = _sort(limiters)
        # Parts of the user's own are awaited here; the core has the others.
        self._core = _CompositeCore(
            self._limiters, cores, pools, bool(self._own), _clocks(self._own), clock
        )
        if pools and type(self).acquire is AsyncCompositeLimiter.acquire:
            # What a coroutine function returns cannot be used in an `async with`.
            vars(self)["acquire"] = self._hold

    @classmethod
    def of(cls, *rates: str, clock: Clock | None = None) -> Self:
        """Join limits in words: for each a token bucket whose burst is the count, on one clock."""
        if not rates:
            advice = 'give at least one limit, such as "10/second"'
            raise _invalid_config("rates", rates, advice)
        return cls([AsyncTokenBucket.per(rate, clock=clock) for rate in rates])

    @property
    def limiters(self) -> tuple[AsyncPart | AsyncConcurrencyLimiter, ...]:
        """The limiters it is made of, as they were given."""
        return self._limiters

    async def allow(self, key: str | int = "default", cost: int = 1) -> bool:
        """Take from all if possible now, else from none; never wait."""
        self._core.refuse_bare("allow")
        return await self._try(key, cost) is not None

    async def try_acquire(
        self, key: str | int = "default", cost: int = 1
    ) -> CompositePermit | None:
        """Take from all if possible now, else from none and return None; never wait.

        What is returned is held while the work lasts; it is a context manager. Without an
        `AsyncConcurrencyLimiter` it holds nothing.
        """
        taken = await self._try(key, cost)
        return None if taken is None else taken.hold()

    async def _try(self, key: str | int, cost: int) -> CompositeRun | None:
        taken = self._core.take(key, cost)
        if taken is None:
            return None
        allowed = False
        try:
            for limiter in self._own:
                if not await call_own(limiter, "allow", key, _unless_default(cost)):
                    break
            else:
                allowed = True
        finally:
            if not allowed:
                taken.leave()
        return taken if allowed else None

    async def allow_many(self, keys: Iterable[str | int], cost: int = 1) -> list[bool]:
        """Ask for many keys, one after another; the answers are in their order."""
        self._core.refuse_bare("allow_many")
        return [await self.allow(key, cost) for key in _keys(keys)]

    if TYPE_CHECKING:

        def acquire(
            self, key: str | int = "default", timeout: float | None = None, cost: int = 1
        ) -> Any: ...

    else:

        async def acquire(self, key="default", timeout=None, cost=1):
            """Wait for the turn; raise `RateLimitExceeded` at once if that would exceed `timeout`.

            With an `AsyncConcurrencyLimiter` it gives a permit to hold while the work lasts, when
            it is awaited or by `async with`, else None. Nobody knows when such a permit is free, so
            it is waited for as long as `timeout` has it.
            """
            run = await self._take(key, timeout, cost)
            return run.hold() if self._core.holds else None

    def _hold(
        self, key: str | int = "default", timeout: float | None = None, cost: int = 1
    ) -> Holding[CompositePermit]:
        """As `acquire`, to be awaited or used in an `async with`."""
        return Holding(AsyncCompositeLimiter.acquire(self, key, timeout, cost))

    async def _take(self, key: str | int, timeout: float | None, cost: int = 1) -> CompositeRun:
        """Acquire; return what can be given back."""
        run = self._core.begin(key, timeout, cost)
        try:
            await come(run, self._core.clock)
            for limiter in self._own:
                await call_own(limiter, "acquire", key, _unless_default(cost, run.left()))
        except BaseException:
            run.leave()
            raise
        return run

    async def check(self, key: str | int = "default", cost: int = 1) -> Decision:
        """As `allow`, with the numbers of the part that has the longest wait, or the least left."""
        return self._core.check(key, cost)

    async def peek(self, key: str | int = "default", cost: int = 1) -> Decision:
        """Say what `check` would say, without taking and without creating the key."""
        return self._core.peek(key, cost)

    def bound(self, window: float) -> int:
        """Return the most permits that one key can be admitted in any window of so many seconds.

        It is the least of the parts' bounds; parts of your own have none, which is a TypeError.
        """
        return self._core.bound(window)

    def observe(self, observer: Callable[[Event], object], near_limit: float = 0.8) -> Subscription:
        """Call `observer` with each event from now on; return what ends it. It needs no `await`.

        As that of an `AsyncTokenBucket`; near a limit is the part with the least left. What
        limiters of your own refuse is not told of.
        """
        return self._core.observe(observer, near_limit)

    def stats(self) -> LimiterStats:
        """Return what became of its calls. It needs no `await`.

        What limiters of your own refuse is not counted.
        """
        return self._core.stats()

    async def penalise(self, key: str | int, seconds: float) -> bool:
        """Close a key for so many seconds in every part that has a `penalise`; say if ours did."""
        closed = self._core.penalise(key, seconds)
        for limiter in self._own:
            if hasattr(limiter, "penalise"):
                await limiter.penalise(key, seconds)
        return closed

    async def give_back(self, key: str | int = "default", cost: int = 1) -> None:
        """Give back what a key took last and did not use, to every part that has a `give_back`."""
        self._core.give_back(key, cost)
        for limiter in self._own:
            if hasattr(limiter, "give_back"):
                await limiter.give_back(key, cost)

    async def reset(self, key: str | int | None = None) -> None:
        """Forget one key, or all of them, in every part that has a `reset`."""
        self._core.reset(key)
        for limiter in self._own:
            if hasattr(limiter, "reset"):
                await limiter.reset(key)

    @property
    def _clock(self) -> Clock:
        return self._core.clock

    def __repr__(self) -> str:
        return f"{type(self).__name__}([{', '.join(map(repr, self._limiters))}])"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)


async def come(run: CompositeRun, clock: Clock) -> None:
    """Await whatever comes before all parts of ours have given."""
    while (wait := run.next()) is not None:
        if isinstance(wait, ConcurrencyPermit):
            await wait_for_permit(wait, clock)
        else:
            await take_turn(wait)


_Ours: TypeAlias = AsyncKeyedLimiter | AsyncCompositeLimiter


def pool_of(limiter: object) -> ConcurrencyLimiter | None:
    """Return what a concurrency limiter of ours runs on, unless a subclass decides for itself."""
    kind, base = type(limiter), AsyncConcurrencyLimiter
    if (
        issubclass(kind, base)
        and kind.acquire is base.acquire
        and kind.try_acquire is base.try_acquire
    ):
        return cast("AsyncConcurrencyLimiter", limiter)._core  # pyright: ignore[reportPrivateUsage]
    return None


def core_of(limiter: object) -> KeyedLimiter | _CompositeCore | None:
    """Return what an async limiter of ours runs on, unless a subclass decides for itself."""
    for base in (AsyncKeyedLimiter, AsyncCompositeLimiter):
        kind = type(limiter)
        # By its type: a mock that was given a spec says that it is an instance.
        if issubclass(kind, base) and kind.allow is base.allow and kind.acquire is base.acquire:
            return cast("_Ours", limiter)._core  # pyright: ignore[reportPrivateUsage]
    return None


def clock_of(limiter: object) -> Clock | None:
    """Return the clock of an async limiter of ours, a subclass's too; None for the user's own."""
    if issubclass(type(limiter), (AsyncKeyedLimiter, AsyncCompositeLimiter)):
        return cast("_Ours", limiter)._clock  # pyright: ignore[reportPrivateUsage]
    return None


async def call_own(limiter: Any, call: str, key: str | int, arguments: dict[str, Any]) -> Any:
    """Await a call of a limiter of the user's own; refuse one that turns out to be sync."""
    answer = getattr(limiter, call)(key, **arguments)
    if not is_awaitable(answer):
        kind = type(limiter).__name__
        raise TypeError(f"{call}() of {kind} is sync; give an async limiter, or the sync twin")
    return await answer


def _sort(
    limiters: Iterable[Any],
) -> tuple[list[KeyedLimiter], list[ConcurrencyLimiter], list[Any], tuple[Any, ...]]:
    """Tell ours from the user's own, and flatten composites among them."""
    # Whoever runs no type checker may give anything.
    given = tuple(limiters) if isinstance(limiters, Iterable) else ()  # type: ignore[redundant-expr]
    if not given or len({id(limiter) for limiter in given}) < len(given):
        raise _invalid_config("limiters", limiters, "give at least one limiter, each of them once")
    cores: list[KeyedLimiter] = []
    pools: list[ConcurrencyLimiter] = []
    own: list[Any] = []
    for rank, limiter in enumerate(given):
        core, pool = core_of(limiter), pool_of(limiter)
        if pool is not None:
            pools.append(pool)
        elif core is None:
            check_async(limiter, f"limiters[{rank}]")
            own.append(limiter)
        elif isinstance(core, KeyedLimiter):
            cores.append(core)
        else:
            keyed, holding = core.parts()
            cores.extend(keyed)
            pools.extend(holding)
            own.extend(limiter._own)
    if len({id(limiter) for limiter in own}) < len(own):
        raise _invalid_config("limiters", limiters, "give at least one limiter, each of them once")
    return cores, pools, own, given


def _clocks(own: list[Any]) -> list[Clock]:
    """Return the clocks of limiters of ours that decide for themselves."""
    clocks = (clock_of(limiter) for limiter in own)
    return [clock for clock in clocks if clock is not None]


def _unless_default(cost: int, timeout: float | None = None) -> dict[str, Any]:
    """Return the arguments that are not the default: a limiter need not know them."""
    arguments: dict[str, Any] = {} if cost == 1 else {"cost": cost}
    if timeout is not None:
        arguments["timeout"] = timeout
    return arguments
