"""The async limiters, over the same core as the sync ones, and the bases to subclass."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn

from ._limitpal import (
    CompositeLimiter,
    ConcurrencyLimiter,
    Decision,
    KeyedLimiter,
    LeakyBucket,
    TokenBucket,
    _in_words,
    _invalid_config,
)
from ._plain import AsyncFromDict
from ._shown import as_async, refuse_to_pickle, with_article
from ._turn import take_turn

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._clock import Clock
    from ._events import Event
    from ._limitpal import Rate, Subscription
    from ._options import BucketOptions, Carry, Evict, Quota, TokenOptions
    from ._stats import LimiterStats

__all__ = ["AsyncLeakyBucket", "AsyncLimiter", "AsyncTokenBucket", "SyncLimiter"]


class SyncLimiter(ABC):
    """The base of a sync limiter of your own; inheriting from it is allowed and not needed."""

    @abstractmethod
    def allow(self, key: str = "default") -> bool:
        """Take if possible now; never wait."""

    @abstractmethod
    def acquire(self, key: str = "default", timeout: float | None = None) -> None:
        """Wait for the turn; raise `RateLimitExceeded` if that would exceed `timeout`."""


class AsyncLimiter(ABC):
    """The base of an async limiter of your own; inheriting from it is allowed and not needed."""

    @abstractmethod
    async def allow(self, key: str = "default") -> bool:
        """Take if possible now; never wait."""

    @abstractmethod
    async def acquire(self, key: str = "default", timeout: float | None = None) -> None:
        """Wait for the turn; raise `RateLimitExceeded` if that would exceed `timeout`."""


SyncLimiter.register(KeyedLimiter)
SyncLimiter.register(CompositeLimiter)


class AsyncKeyedLimiter(AsyncFromDict, AsyncLimiter):
    """What the async limiters that count by key have in common."""

    _core: KeyedLimiter

    async def allow(self, key: str | int = "default", cost: int = 1) -> bool:
        """Take if possible now; never wait."""
        return self._core.allow(key, cost)

    async def allow_many(self, keys: Iterable[str | int], cost: int = 1) -> list[bool]:
        """Ask for many keys at one reading of the clock; the answers are in their order."""
        return self._core.allow_many(keys, cost)

    async def acquire(
        self, key: str | int = "default", timeout: float | None = None, cost: int = 1
    ) -> None:
        """Wait for the turn; raise `RateLimitExceeded` at once if that would exceed `timeout`.

        A timeout of 0 never waits, a negative one is 0. Those who wait for one key go in the order
        in which they came; one that is cancelled gives its place to the next, or, by a clock of
        your own, to a newcomer.
        """
        place = self._core._reserve(key, timeout, cost)
        if place is not None:
            await take_turn(place)

    async def check(self, key: str | int = "default", cost: int = 1) -> Decision:
        """As `allow`, with the numbers."""
        return self._core.check(key, cost)

    async def peek(self, key: str | int = "default", cost: int = 1) -> Decision:
        """Say what `check` would say, without taking and without creating the key."""
        return self._core.peek(key, cost)

    def bound(self, window: float, key: str | int | None = None) -> int:
        """Return the most permits that a key can be admitted in any window of so many seconds."""
        return self._core.bound(window, key)

    async def penalise(self, key: str | int, seconds: float) -> bool:
        """Close a key for so many seconds, for a server that said "retry after"; say if it is."""
        return self._core.penalise(key, seconds)

    async def give_back(self, key: str | int = "default", cost: int = 1) -> None:
        """Give back permits that a key took last and did not use: at most what it lacks."""
        self._core.give_back(key, cost)

    async def unconfigure(self, key: str | int, carry: Carry = "proportional") -> None:
        """Take a key's own limits away: it goes by those of all from now on."""
        self._core.unconfigure(key, carry)

    def observe(self, observer: Callable[[Event], object], near_limit: float = 0.8) -> Subscription:
        """Call `observer` with each event from now on; return what ends it. It needs no `await`.

        It is called in the task whose call it tells of, before that returns: see `TokenBucket`.
        """
        return self._core.observe(observer, near_limit)

    def stats(self) -> LimiterStats:
        """Return what became of its calls. It needs no `await`."""
        return self._core.stats()

    async def reset(self, key: str | int | None = None) -> None:
        """Forget one key, or all of them; those who wait then go in their order."""
        self._core.reset(key)

    async def snapshot(self) -> bytes:
        """Write down what is remembered, for `restore` elsewhere; those who wait count as taken."""
        return self._core.snapshot()

    async def restore(self, snapshot: bytes | bytearray) -> None:
        """Remember what a snapshot does, before the first call; refused whole if it is wrong.

        The time in between counts as none. A sync limiter's snapshot does as well.
        """
        self._core.restore(snapshot)

    @property
    def evicted_live(self) -> int:
        """How many buckets `max_buckets` has cost that were not full again."""
        return self._core.evicted_live

    @property
    def refused_new(self) -> int:
        """How many newcomers were refused because there was no room for them."""
        return self._core.refused_new

    @property
    def _clock(self) -> Clock:
        return self._core._clock

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


class AsyncTokenBucket(AsyncKeyedLimiter):
    """The async twin of `TokenBucket`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncTokenBucket, MockClock
    >>> async def main():
    ...     limiter = AsyncTokenBucket(capacity=1, refill_rate=2, clock=MockClock())
    ...     return await limiter.allow("ann"), await limiter.allow("ann")
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        capacity: float,
        refill_rate: float | Rate,
        clock: Clock | None = None,
        ttl: float | None = None,
        max_buckets: int | None = None,
        cleanup_interval: int = 100,
        *,
        initial: float | None = None,
        debt: float = 0,
        per_key: bool = True,
        key_by: Callable[[str], str | int] | None = None,
        evict: Evict = "nearest_new",
        quota: Callable[[str], Quota | None] | None = None,
    ) -> None:
        # Narrower than the base has it, and set once.
        self._core: TokenBucket = TokenBucket(  # pyright: ignore[reportIncompatibleVariableOverride]
            capacity,
            refill_rate,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            initial=initial,
            debt=debt,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )

    @classmethod
    def per(cls, rate: str, burst: float | None = None, **options: Unpack[TokenOptions]) -> Self:
        """Make one of a limit in words; the burst is the count unless given."""
        return cls(*_in_words(rate, "burst", burst), **options)

    async def reconfigure(
        self,
        *,
        capacity: float | None = None,
        refill_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Change the limits of all keys that have none of their own; see `TokenBucket`."""
        self._core.reconfigure(capacity=capacity, refill_rate=refill_rate, carry=carry)

    async def configure(
        self,
        key: str | int,
        *,
        capacity: float | None = None,
        refill_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Give a key limits of its own, or change them; see `TokenBucket`."""
        self._core.configure(key, capacity=capacity, refill_rate=refill_rate, carry=carry)

    @property
    def capacity(self) -> int:
        """The burst."""
        return self._core.capacity

    @property
    def refill_rate(self) -> float:
        """The rate per second in the long run."""
        return self._core.refill_rate

    @property
    def initial(self) -> int:
        """How many tokens each bucket had when the limiter was made."""
        return self._core.initial

    @property
    def debt(self) -> int:
        """How many permits may be owed."""
        return self._core.debt

    async def get_tokens(self, key: str | int = "default") -> float:
        """Return the tokens that a key has now; none while some are owed."""
        return self._core.get_tokens(key)


class AsyncLeakyBucket(AsyncKeyedLimiter):
    """The async twin of `LeakyBucket`: the same options, its calls as coroutines.

    >>> import asyncio
    >>> from limitpal import AsyncLeakyBucket, MockClock
    >>> async def main():
    ...     clock = MockClock()
    ...     limiter = AsyncLeakyBucket(capacity=20, leak_rate=10, clock=clock)
    ...     for _ in range(3):
    ...         await limiter.acquire("jobs")
    ...     return clock.now()
    >>> asyncio.run(main())
    0.2
    """

    def __init__(
        self,
        capacity: float,
        leak_rate: float | Rate,
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
        self._core: LeakyBucket = LeakyBucket(  # pyright: ignore[reportIncompatibleVariableOverride]
            capacity,
            leak_rate,
            clock,
            ttl,
            max_buckets,
            cleanup_interval,
            per_key=per_key,
            key_by=key_by,
            evict=evict,
            quota=quota,
        )

    @classmethod
    def per(
        cls, rate: str, capacity: float | None = None, **options: Unpack[BucketOptions]
    ) -> Self:
        """Make one of a limit in words; the capacity is the count unless given."""
        return cls(*_in_words(rate, "capacity", capacity), **options)

    async def reconfigure(
        self,
        *,
        capacity: float | None = None,
        leak_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Change the limits of all keys that have none of their own; see `LeakyBucket`."""
        self._core.reconfigure(capacity=capacity, leak_rate=leak_rate, carry=carry)

    async def configure(
        self,
        key: str | int,
        *,
        capacity: float | None = None,
        leak_rate: float | Rate | None = None,
        carry: Carry = "proportional",
    ) -> None:
        """Give a key limits of its own, or change them; see `LeakyBucket`."""
        self._core.configure(key, capacity=capacity, leak_rate=leak_rate, carry=carry)

    @property
    def capacity(self) -> int:
        """The backlog up to which `allow` joins."""
        return self._core.capacity

    @property
    def leak_rate(self) -> float:
        """The rate per second at which a backlog drains."""
        return self._core.leak_rate

    async def get_queue_size(self, key: str | int = "default") -> int:
        """Return a key's backlog, rounded up."""
        return self._core.get_queue_size(key)

    async def get_wait_time(self, key: str | int = "default") -> float:
        """Return the seconds until `allow` would succeed."""
        return self._core.get_wait_time(key)


def check_sync(limiter: object, parameter: str) -> None:
    """Refuse what is no sync limiter, by the name of its twin if it has one."""
    kind = type(limiter).__name__
    is_async = _is_coroutine_function(limiter, "acquire", "allow")
    if isinstance(limiter, AsyncLimiter) or is_async or _holds_permits(limiter, is_async=True):
        twin = (
            kind.removeprefix("Async")
            if kind.startswith("Async")
            else "a sync limiter, such as a SyncLimiter"
        )
        raise TypeError(f"{parameter} is {with_article(kind)}, which is async; give {twin}")
    _check_calls(limiter, parameter)


def check_async(limiter: object, parameter: str) -> None:
    """Refuse what is no async limiter, by the name of its twin if it has one."""
    kind = type(limiter).__name__
    if isinstance(limiter, (SyncLimiter, ConcurrencyLimiter)):
        ours = isinstance(limiter, (KeyedLimiter, CompositeLimiter, ConcurrencyLimiter))
        twin = f"Async{kind}" if ours else "an async limiter, such as an AsyncLimiter"
        raise TypeError(f"{parameter} is {with_article(kind)}, which is sync; give {twin}")
    _check_calls(limiter, parameter)


def _check_calls(limiter: object, parameter: str) -> None:
    if _holds_permits(limiter, is_async=False) or _holds_permits(limiter, is_async=True):
        kind = with_article(type(limiter).__name__)
        message = f"{parameter} is {kind}, which acquires in its own way; hold its permit around it"
        raise TypeError(message)
    if isinstance(limiter, type):
        raise _invalid_config(parameter, limiter, "which is a class; give an instance of it")
    for call in ("allow", "acquire"):
        if not callable(getattr(limiter, call, None)):
            raise _invalid_config(parameter, limiter, f"it has no {call}(); give a limiter")


def _holds_permits(limiter: object, *, is_async: bool) -> bool:
    """Whether it is a concurrency limiter of ours, or a subclass of it."""
    core = getattr(limiter, "_core", None) if is_async else limiter
    return isinstance(core, ConcurrencyLimiter)


def _is_coroutine_function(limiter: object, *calls: str) -> bool:
    return any(inspect.iscoroutinefunction(getattr(limiter, call, None)) for call in calls)
