"""What stands around a whole run of an executor: a fallback, and within it a cache."""

from __future__ import annotations

from collections.abc import Callable
from reprlib import repr as shorten
from typing import TYPE_CHECKING, Any

from ._cache import Cache, Cached
from ._fallback import Fallback, answer, answer_async
from ._limitpal import _invalid_config, _keys

if TYPE_CHECKING:
    from ._clock import Clock
    from ._events import Event
    from ._limitpal import ResilientExecutor, Subscription, _ExecutorCore
    from ._stats import ExecutorStats


class Outer:
    """What stands around the runs of one executor."""

    __slots__ = ("_cached", "_fallback")

    # `Any`: whoever runs no type checker may give anything.
    def __init__(self, fallback: Any, cache: Any, clock: Clock) -> None:
        if fallback is not None and not isinstance(fallback, Fallback):
            what = "func=that" if callable(fallback) else shorten(fallback)
            advice = f"give Fallback({what}) to have that in place of an error, or None"
            raise _invalid_config("fallback", fallback, advice)
        if cache is not None and not isinstance(cache, Cache):
            raise _invalid_config("cache", cache, "give a Cache, such as Cache(ttl=60), or None")
        self._fallback: Fallback | None = fallback
        self._cached: Cached | None = None
        if cache is not None:
            self._cached = cache._used_by(clock)  # pyright: ignore[reportPrivateUsage]

    def run(
        self,
        executor: ResilientExecutor,
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """Run a function through the executor unless the cache answers; answer its error."""
        try:
            if self._cached is None:
                return executor._run(key, func, args, kwargs)
            run = lambda: executor._run(key, func, args, kwargs)  # noqa: E731
            return self._cached.run(run, key, func, args, kwargs)
        except Exception as error:
            if self._fallback is None or not self._fallback.covers(error):
                raise
            value = answer(self._fallback, error)
            executor._fell_back()
            return value

    def __repr__(self) -> str:
        fallback = "" if self._fallback is None else f", fallback={self._fallback!r}"
        return fallback if self._cached is None else f"{fallback}, cache={self._cached.cache!r}"


class OuterCore(Outer):
    """The core of an async executor around whose runs something stands: none of them begins here.

    `run` is that of the executor within, which has the core itself.
    """

    __slots__ = ("_core", "_run")

    def __init__(
        self,
        core: _ExecutorCore,
        run: Callable[..., Any],
        fallback: Fallback | None,
        cache: Cache | None,
    ) -> None:
        super().__init__(fallback, cache, core.clock)
        self._core = core
        self._run = run

    def begin(self, key: str | int, func: Callable[..., Any]) -> None:
        """Begin nothing, `run_async` is to be awaited; but refuse what is no key."""
        _keys((key,))

    async def run_async(
        self,
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """As `run`, awaited."""
        try:
            if self._cached is None:
                return await self._run(key, func, *args, **kwargs)
            run = lambda: self._run(key, func, *args, **kwargs)  # noqa: E731
            return await self._cached.run_async(run, key, func, args, kwargs)
        except Exception as error:
            if self._fallback is None or not self._fallback.covers(error):
                raise
            value = await answer_async(self._fallback, error)
            self._core.fell_back()
            return value

    @property
    def clock(self) -> Clock:
        """The executor's clock."""
        return self._core.clock

    def observe(self, observer: Callable[[Event], object]) -> Subscription:
        """Call `observer` with each event of each run from now on."""
        return self._core.observe(observer)

    def stats(self) -> ExecutorStats:
        """Return what became of the runs so far."""
        return self._core.stats()

    def show(self, name: str, limiter: object) -> str:
        """Return what was built."""
        return f"{self._core.show(name, limiter)[:-1]}{self!r})"
