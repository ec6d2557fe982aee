"""The async executor: the loop that awaits, over runs that the core decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NoReturn, ParamSpec, TypeVar, cast, overload

from ._awaitable import COROUTINE, LAZY, is_awaitable
from ._composite import AsyncCompositeLimiter, call_own, clock_of, come, core_of, pool_of
from ._errors import BulkheadFull, RateLimitExceeded
from ._guard import guard_async
from ._limiters import check_async
from ._limitpal import _ExecutorCore, _lazy
from ._outer import OuterCore
from ._plain import AsyncFromDict
from ._shown import refuse_to_pickle
from ._timeouts import TimeIsUp, until, wait_for
from ._tries import Tries
from ._turn import take_turn

if TYPE_CHECKING:
    from ._bulkhead import Bulkhead
    from ._cache import Cache
    from ._clock import Clock
    from ._concurrency import AsyncConcurrencyLimiter
    from ._events import Event
    from ._fallback import Fallback
    from ._guard import AsyncGuard
    from ._hedge import Hedge
    from ._limitpal import (
        CircuitBreaker,
        CompositePermit,
        CompositeRun,
        KeyedCircuitBreaker,
        Place,
        RetryBudget,
        RetryPolicy,
        Subscription,
        _Run,
    )
    from ._options import AsyncPart
    from ._stats import ExecutorStats

__all__ = ["AsyncResilientExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


def _close(run: _Run | int) -> None:
    if not isinstance(run, int):
        run.close()


class AsyncResilientExecutor(AsyncFromDict):
    """The async twin of `ResilientExecutor`: the same options, `run` as a coroutine.

    It takes coroutine functions, plain functions, and plain functions that return an awaitable.

    >>> import asyncio
    >>> from limitpal import AsyncResilientExecutor, MockClock, RetryPolicy
    >>> async def main():
    ...     clock = MockClock()
    ...     executor = AsyncResilientExecutor(
    ...         retry_policy=RetryPolicy(base_delay=1.0), clock=clock
    ...     )
    ...     answers = iter([TimeoutError("slow"), "fine"])
    ...     async def call():
    ...         answer = next(answers)
    ...         if isinstance(answer, Exception):
    ...             raise answer
    ...         return answer
    ...     return await executor.run("api", call), clock.now()
    >>> asyncio.run(main())
    ('fine', 1.0)
    """

    def __init__(
        self,
        limiter: AsyncPart | AsyncConcurrencyLimiter | None = None,
        retry_policy: RetryPolicy | None = None,
        circuit_breaker: CircuitBreaker | KeyedCircuitBreaker | None = None,
        clock: Clock | None = None,
        *,
        charge: Literal["call", "attempt"] = "call",
        acquire_timeout: float | None = None,
        retry_budget: RetryBudget | None = None,
        bulkhead: Bulkhead | None = None,
        fallback: Fallback | None = None,
        cache: Cache | None = None,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        hedge: Hedge | None = None,
    ) -> None:
        self._given = limiter
        if pool_of(limiter) is not None:
            limiter = AsyncCompositeLimiter([cast("AsyncConcurrencyLimiter", limiter)])
        core = core_of(limiter)
        if limiter is not None and core is None:
            check_async(limiter, "limiter")
        clock_of_limiter = clock_of(limiter)
        self._limiter: Any = limiter
        # Whether quota that was acquired from it can be given back.
        self._gives_back = isinstance(limiter, AsyncCompositeLimiter) and core is not None
        self._core: Any = _ExecutorCore(
            limiter is not None,
            core,
            clock_of_limiter,
            retry_policy,
            circuit_breaker,
            clock,
            charge,
            acquire_timeout,
            retry_budget,
            bulkhead,
            timeout,
            attempt_timeout,
            hedge,
        )
        self._hedged = hedge is not None
        self._has_bulkhead = bulkhead is not None
        if fallback is not None or cache is not None:
            within = AsyncResilientExecutor.__new__(AsyncResilientExecutor)
            vars(within).update(vars(self))
            self._core = OuterCore(self._core, within.run, fallback, cache)

    @overload
    async def run(
        self,
        key: str | int,
        func: Callable[P, Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def run(
        self, key: str | int, func: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    async def run(self, key: str | int, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a function through the pipeline; quota and state are those of `key`."""
        core = self._core
        run: Any = core.begin(key, func)
        if type(run) is int:
            try:
                result = func(*args, **kwargs)
                if type(result) is COROUTINE or is_awaitable(result):
                    result = await result
                elif type(result) in LAZY:
                    # Its body has not run: it is neither success nor failure, and not retried.
                    core.abandoned()
                    run = None
                    raise _lazy(result, func)
            except BaseException as error:
                if run is not None:
                    run = core.failed(run, error)
                if run is None:
                    raise
            else:
                run = core.succeeded(run, result)
                if run is None:
                    return result
            await self._prepare(run, key)
        elif not run:
            if run is None:
                return await core.run_async(key, func, args, kwargs)
            await self._prepare(run, key)
        return await self._go_on(run, key, func, args, kwargs)

    async def _go_on(
        self,
        run: Any,
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Go on with a run of which something is kept."""
        core = self._core
        while True:
            try:
                result = func(*args, **kwargs)
                if type(result) is COROUTINE or is_awaitable(result):
                    if self._hedged:
                        result = self._race(run, key, result, partial(func, *args, **kwargs))
                    if run.has_end():
                        attempt = result if type(result) is COROUTINE else wait_for(result)
                        result = await until(attempt, run.left, core.clock)
                    else:
                        result = await result
                elif type(result) in LAZY:
                    _close(run)
                    run = None
                    raise _lazy(result, func)
            except TimeIsUp as up:
                error = run.cut(up.__cause__)
                if error is not None:
                    raise error from up.__cause__
            except BaseException as error:
                if run is not None:
                    run = core.failed(run, error)
                if run is None:
                    raise
            else:
                run = core.succeeded(run, result)
                if run is None:
                    return result
            await self._prepare(run, key)

    async def _prepare(self, run: _Run, key: str | int) -> None:
        """Await whatever comes before the next attempt."""
        try:
            while (step := run.next(key)) is not None:
                if step[0] == "sleep":
                    await self._core.clock.sleep_async(step[1])
                    run.slept()
                elif step[0] == "turn":
                    await self._come(run, step[1])
                else:
                    await self._acquire(run, key, step[1])
        except BaseException:
            run.close()
            raise

    async def _come(self, run: _Run, place: Place) -> None:
        """Await one's turn, unless the limiter changes so that it does not come."""
        try:
            await take_turn(place)
        except RateLimitExceeded as refusal:
            run.refused(refusal)
        else:
            run.came()

    async def _acquire(self, run: _Run, key: str | int, timeout: float | None) -> None:
        """Acquire where the core cannot do it alone: a bulkhead, a composite, the user's own."""
        try:
            if self._has_bulkhead:
                held = await self._come_in(key, timeout)
            elif self._gives_back:
                held = await self._limiter._take(key, timeout)
            else:
                held = None
                known = {} if timeout is None else {"timeout": timeout}
                await call_own(self._limiter, "acquire", key, known)
        except (RateLimitExceeded, BulkheadFull) as refusal:
            run.refused(refusal)
        else:
            run.acquired(held)

    async def _come_in(self, key: str | int, timeout: float | None) -> CompositeRun:
        """Await a place in the bulkhead, and quota of the limiter behind it."""
        run: CompositeRun = self._core.enter(key, timeout)
        try:
            await come(run, self._core.clock)
        except BaseException:
            run.leave()
            raise
        return run

    async def _race(
        self, run: _Run, key: str | int, first: Awaitable[Any], call: Callable[[], Any]
    ) -> Any:
        """Await an attempt that gets other tries if it is slow."""

        async def quota() -> CompositePermit | None:
            if self._has_bulkhead:
                return (await self._come_in(key, 0.0)).hold()
            if self._gives_back:
                taken: CompositeRun = await self._limiter._take(key, 0.0)
                return taken.hold()
            await call_own(self._limiter, "acquire", key, {"timeout": 0.0})
            return None

        return await Tries(run.race(), self._core.clock, key, call, quota).outcome(first)

    def guard(self, key: str | int | Callable[..., str | int]) -> AsyncGuard:
        """Return a decorator: each call of the function is an awaited run, for `key`.

        It takes coroutine functions and plain ones, and makes coroutine functions of them; all else
        is as `ResilientExecutor.guard` says.

        >>> import asyncio
        >>> from limitpal import AsyncResilientExecutor, RetryPolicy
        >>> executor = AsyncResilientExecutor(retry_policy=RetryPolicy())
        >>> @executor.guard("users")
        ... async def fetch(user):
        ...     return user.upper()
        >>> asyncio.run(fetch("ann"))
        'ANN'
        """
        return guard_async(self, key)

    def observe(self, observer: Callable[[Event], object]) -> Subscription:
        """Call a plain function with each event of each run from now on; return what ends it.

        `RunBegan`, `AttemptBegan`, `AttemptFailed`, `RetryPlanned`, `HedgeStarted`, `RunEnded`.
        """
        subscription: Subscription = self._core.observe(observer)
        return subscription

    def stats(self) -> ExecutorStats:
        """Return what became of the runs so far. It needs no `await`."""
        stats: ExecutorStats = self._core.stats()
        return stats

    def __repr__(self) -> str:
        return str(self._core.show(type(self).__name__, self._given))

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)
