"""A cache of what calls gave: for a time, as many as fit; and equal calls in flight."""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ._clock import running_loop, running_task, settle, try_running_loop
from ._fallback import is_answerable
from ._limitpal import _invalid_config, _is_cancellation, _Shelf
from ._plain import FromDict
from ._shown import refuse_to_pickle
from ._stats import CacheStats
from ._turn import Bell

if TYPE_CHECKING:
    from ._clock import Clock

__all__ = ["Cache"]

# What tells a call from others, as the user or we put it.
_Call = tuple[Any, ...]


class Cache(FromDict):
    """Keeps what calls gave, for executors (`cache=`).

    - `ttl`: for how many seconds a value is fresh, by the executor's clock
    - `max_entries`: how many values are kept at most; those that are asked for least make room
    - `stale_for`: for how many seconds more a value stands in for an error, a refusal too
    - `key`: what tells calls apart, a function of the arguments. By default a call is the run's
      key, the function itself, and all arguments with their types, which have to be hashable

    A call that is answered from here is no run: no breaker, no quota, no budget. Errors are not
    kept. Of equal calls at the same time one makes the run, and what it comes to, value or error,
    is everybody's; if it is cancelled, another takes over.

    >>> from limitpal import Cache, ResilientExecutor
    >>> cache = Cache(ttl=60)
    >>> executor = ResilientExecutor(cache=cache)
    >>> executor.run("math", pow, 2, 10), executor.run("math", pow, 2, 10)
    (1024, 1024)
    >>> cache.stats().hits, executor.stats().calls
    (1, 1)
    """

    def __init__(
        self,
        ttl: float,
        *,
        max_entries: float = 1024,
        stale_for: float = 0.0,
        key: Callable[..., Any] | None = None,
    ) -> None:
        self._shelf = _Shelf(ttl, max_entries, stale_for)
        if key is not None and not callable(key):
            raise _invalid_config("key", key, "give a function of the call's arguments, or None")
        self._key = key
        # Changed by single steps of a dict, each of which is whole: no lock, and none to wait for.
        self._flights: dict[_Call, _Flight] = {}

    def invalidate(self, key: object) -> bool:
        """Forget what was kept under a key that your `key=` gave; return whether there was any.

        What is under way now is not kept either, and whoever asks from now on does not get it.
        """
        if self._key is None:
            message = "the cache has no key= function; call invalidate_call() as you called run()"
            raise TypeError(message)
        return self._shelf.forget_if(lambda call: call[1] == key)

    def invalidate_call(
        self, key: str | int, func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> bool:
        """Forget what one call gave, as it was given to `run()`; return whether there was any."""
        return self._shelf.forget(self._call(key, func, args, kwargs))

    def clear(self) -> None:
        """Forget all."""
        self._shelf.clear()

    def stats(self) -> CacheStats:
        """Return what became of the calls that have asked."""
        hits, misses, coalesced, stale = self._shelf.counts()
        return CacheStats(hits=hits, misses=misses, coalesced=coalesced, stale=stale)

    def _used_by(self, clock: Clock) -> Cached:
        """Return the cache, as an executor with this clock uses it."""
        return Cached(self, self._shelf, self._flights, self._call, clock)

    def __len__(self) -> int:
        return len(self._shelf)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        ttl, max_entries, stale_for = self._shelf.keeping()
        key = "" if self._key is None else f", key={self._key!r}"
        return (
            f"{type(self).__name__}(ttl={ttl}, max_entries={max_entries}, "
            f"stale_for={stale_for}{key})"
        )

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def _call(
        self,
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> _Call:
        """Return what tells a call from others."""
        kwargs = kwargs or {}
        if self._key is not None:
            # By its name: a lambda made anew for each call is the same to who says what is.
            call: _Call = (_name(func), self._key(*args, **kwargs))
        else:
            named = tuple(sorted(kwargs.items()))
            kinds = (*map(type, args), *(type(value) for _, value in named))
            call = (func, str(key), args, named, kinds)
        try:
            hash(call)
        except TypeError as error:
            raise _mistake(func, error) from None
        return call


class _Flight:
    """One run that is under way, and how to wake those who wait for it."""

    __slots__ = (
        "_bells",
        "_value",
        "epoch",
        "error",
        "pid",
        "state",
        "task",
        "thread",
        "traceback",
    )

    def __init__(self, epoch: int, task: object) -> None:
        self.epoch = epoch
        self.task = task
        self.thread = threading.get_ident()
        self.pid = os.getpid()
        self.state = "flies"
        self._bells: deque[Callable[[], object]] = deque()
        self._value: Any = None
        self.error: Exception | None = None
        self.traceback: Any = None

    def wake_by(self, ring: Callable[[], object]) -> None:
        """Have this called at the end, in whichever thread that is."""
        self._bells.append(ring)
        if self.state != "flies":
            ring()

    def end(self, state: str, value: Any = None, error: Exception | None = None) -> None:
        self._value, self.error = value, error
        if error is not None:
            self.traceback = error.__traceback__
        self.state = state
        while self._bells:
            self._bells.popleft()()

    def outcome(self) -> Any:
        """Return the value, or raise the error, as it was when the run ended."""
        if self.error is not None:
            raise self.error.with_traceback(self.traceback)
        return self._value


class Cached:
    """A cache, as one executor uses it."""

    __slots__ = ("_call", "_flights", "_shelf", "_view", "cache")

    def __init__(
        self,
        cache: Cache,
        shelf: _Shelf,
        flights: dict[_Call, _Flight],
        call: Callable[..., _Call],
        clock: Clock,
    ) -> None:
        self.cache = cache
        self._shelf = shelf
        self._flights = flights
        self._call = call
        self._view = shelf.seen_by(clock)

    def run(
        self,
        run: Callable[[], Any],
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """Answer from the cache, else by a run, one's own or another's."""
        call = self._call(key, func, args, kwargs)
        while True:
            fresh, value, epoch = self._view.find(call)
            if fresh:
                self._shelf.hit()
                return value
            stale = None if fresh is None else (value, epoch)
            own = _Flight(epoch, None)
            flight = self._join(call, own)
            try:
                if flight is own or flight.thread == own.thread:
                    # A thread cannot wait for what it does itself.
                    return self._lead(run, call, own, flight)
                bell = Bell()
                flight.wake_by(bell.ring)
                bell.wait()
                if flight.state == "abandoned":
                    continue
                self._shelf.coalesced()
                return flight.outcome()
            except Exception as error:
                return self._instead(error, stale)
            finally:
                # An error refers to this frame: it is not to keep what it does not need.
                del own, flight

    async def run_async(
        self,
        run: Callable[[], Awaitable[Any]],
        key: str | int,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
    ) -> Any:
        """As `run`, awaited."""
        call = self._call(key, func, args, kwargs)
        while True:
            fresh, value, epoch = self._view.find(call)
            if fresh:
                self._shelf.hit()
                return value
            stale = None if fresh is None else (value, epoch)
            own = _Flight(epoch, running_task())
            flight = self._join(call, own)
            try:
                if flight is own or self._is_within(flight, own):
                    return await self._lead_async(run, call, own, flight)
                await _landing(flight)
                if flight.state == "abandoned":
                    continue
                self._shelf.coalesced()
                return flight.outcome()
            except Exception as error:
                return self._instead(error, stale)
            finally:
                del own, flight

    @staticmethod
    def _is_within(flight: _Flight, own: _Flight) -> bool:
        """Return whether one would wait for what cannot go on until one is done."""
        if flight.task is None:
            return flight.thread == own.thread
        return flight.task is own.task

    def _join(self, call: _Call, own: _Flight) -> _Flight:
        """Return the flight of equal calls that is under way, else one's own."""
        flights = self._flights
        flight = flights.setdefault(call, own)
        if flight.epoch != own.epoch or flight.pid != own.pid:
            # What was forgotten since is not waited for, nor what is left of before a fork.
            flights[call] = own
            return own
        return flight

    def _lead(self, run: Callable[[], Any], call: _Call, own: _Flight, flight: _Flight) -> Any:
        """Make the run, and end the flight, if it is one's own."""
        try:
            value = self._landed_before(call, own, flight)
            if value is None:
                self._shelf.missed()
                value = (run(),)
                self._view.keep(call, value[0], own.epoch)
        except BaseException as error:
            self._fail(call, own, flight, error)
            raise
        self._end(call, own, flight, "landed", value[0])
        return value[0]

    async def _lead_async(
        self, run: Callable[[], Awaitable[Any]], call: _Call, own: _Flight, flight: _Flight
    ) -> Any:
        try:
            value = self._landed_before(call, own, flight)
            if value is None:
                self._shelf.missed()
                value = (await run(),)
                self._view.keep(call, value[0], own.epoch)
        except BaseException as error:
            self._fail(call, own, flight, error)
            raise
        self._end(call, own, flight, "landed", value[0])
        return value[0]

    def _landed_before(self, call: _Call, own: _Flight, flight: _Flight) -> tuple[Any] | None:
        """Look once more: between looking and joining another flight may have landed."""
        if flight is own:
            fresh, value, _ = self._view.find(call)
            if fresh:
                self._shelf.hit()
                return (value,)
        return None

    def _fail(self, call: _Call, own: _Flight, flight: _Flight, error: BaseException) -> None:
        if isinstance(error, Exception) and not _is_cancellation(error):
            self._end(call, own, flight, "landed", error=error)
        else:
            # Nothing is known of the call: another has to make it.
            self._end(call, own, flight, "abandoned")

    def _end(
        self,
        call: _Call,
        own: _Flight,
        flight: _Flight,
        state: str,
        value: Any = None,
        error: Exception | None = None,
    ) -> None:
        if flight is not own:
            return
        flights = self._flights
        if flights.get(call) is own:
            flights.pop(call, None)
        own.end(state, value, error)

    def _instead(self, error: Exception, stale: tuple[Any, int] | None) -> Any:
        """Return a stale value in place of an error, or raise it."""
        if stale is None or not is_answerable(error) or stale[1] != self._shelf.epoch():
            raise error
        self._shelf.went_stale()
        return stale[0]


async def _landing(flight: _Flight) -> None:
    """Await the end of a flight."""
    loop = running_loop("a wait for an equal call")
    future = loop.create_future()

    def ring() -> None:
        if try_running_loop() is loop:
            settle(future)
            return
        try:
            loop.call_soon_threadsafe(settle, future)
        except RuntimeError:
            # The loop is closed, and nobody waits there any more.
            return

    flight.wake_by(ring)
    await future


def _name(func: Callable[..., Any]) -> tuple[str, str]:
    """Return by what name a function goes."""
    while isinstance(func, functools.partial):
        func = func.func
    kind: Any = func if hasattr(func, "__qualname__") else type(func)
    return str(getattr(kind, "__module__", "")), str(kind.__qualname__)


def _mistake(func: Callable[..., Any], error: TypeError) -> TypeError:
    """Make the error about what cannot be part of a key; no fallback hides it."""
    name = _name(func)[1]
    advice = "give Cache(key=…), a function of the arguments that returns what is hashable"
    mistake = TypeError(f"a call of {name} cannot be told from others, {error}; {advice}")
    vars(mistake)["_limitpal_mistake"] = True
    return mistake
