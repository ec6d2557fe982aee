"""Who tells the time and who sleeps; the only file that knows the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import math
import time
import weakref
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn, Protocol, TypeAlias, runtime_checkable

from ._limitpal import MockTime
from ._seats import Alarm, seats

__all__ = ["Clock", "MockClock", "MonotonicClock"]

# The other files use these names, so that none of them says `asyncio`.
Loop: TypeAlias = asyncio.AbstractEventLoop
Future: TypeAlias = asyncio.Future[None]
Task: TypeAlias = asyncio.Task[Any]
Cancelled = asyncio.CancelledError


@runtime_checkable
class Clock(Protocol):
    """A source of time, of your own if you like: any object with these three methods.

    Inheriting from it is allowed and not needed.
    """

    @abstractmethod
    def now(self) -> float:
        """Return the time in seconds since some zero of the clock's own."""
        raise NotImplementedError

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Block the calling thread for so many seconds."""
        raise NotImplementedError

    @abstractmethod
    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling task for so many seconds."""
        raise NotImplementedError


class MonotonicClock:
    """Real time, which never steps back; the default clock everywhere."""

    def now(self) -> float:
        """Return the seconds since some moment before the program began."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block the calling thread; Ctrl-C ends it."""
        if _finite(seconds) > 0:
            time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling task, as `asyncio.sleep` does."""
        if _finite(seconds) > 0:
            running_loop("MonotonicClock.sleep_async()")
            await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return "MonotonicClock()"


#: The clock of everybody who was given none.
MONOTONIC = MonotonicClock()


class MockClock(MockTime):
    """A clock for tests: time stands still until it is moved.

    - `advance()` and `set_time()` move it, from any thread. The tasks that are due wake in the
      order of their deadlines, first come first served among equals, and one
      `await asyncio.sleep(0)` lets each of them run up to its next wait.
    - `autojump`: when the event loop has nothing else ready to run, the clock jumps to the
      earliest sleeper, so a test that only awaits never hangs. While one waits for a real
      `asyncio.sleep(0.01)`, a thread or a socket the loop is idle too, and the clock jumps;
      `autojump=False` turns it off.
    - The blocking `sleep()` moves the clock to its own deadline, never further, and returns.
    - `run_for()` stops at every deadline on the way.

    >>> from limitpal import MockClock
    >>> clock = MockClock()
    >>> clock.advance(1.5)
    >>> clock.now()
    1.5
    """

    def __init__(self, start_time: float = 0.0, autojump: bool = True) -> None:
        self._start(start_time, autojump)
        self._autojump = autojump
        self._runs = 0
        self._keys = itertools.count()
        # Here, and not in Rust, so that the garbage collector sees who sleeps.
        self._sleepers: dict[int, _Sleeper | Alarm] = {}

    def sleep(self, seconds: float) -> None:
        """Move time to this sleep's own deadline, never further, and return.

        In a try of a hedged attempt, which has a thread of its own, it waits until all tries sleep;
        then time moves to the first of them that is due, or to the next hedge.
        """
        park = seats.park(self)
        if park is None:
            super().sleep(seconds)
        elif _finite(seconds) > 0:
            park(seconds)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling task until the clock reaches its deadline."""
        if _finite(seconds) <= 0:
            return
        loop = running_loop("MockClock.sleep_async()")
        awoken: Future = loop.create_future()
        key = self._call_later(loop, seconds, lambda: settle(awoken))
        try:
            # Awaited directly: each hop between would cost a turn of the loop after `advance()`.
            await awoken
        finally:
            self._cancel(key)

    async def run_for(self, seconds: float) -> None:
        """Move time forward, letting tasks settle at every deadline on the way.

        A one-second ticker ticks sixty times in `run_for(60)`, where `advance(60)` wakes it once.
        Tasks have settled when the event loop has nothing else ready to run.
        """
        loop = running_loop("MockClock.run_for()")
        end = self._after(seconds)
        self._runs += 1
        try:
            await _Idleness.of(loop).wait(loop)
            while self._step(end):
                await _Idleness.of(loop).wait(loop)
        finally:
            self._runs -= 1

    def _call_later(self, loop: Loop, seconds: float, callback: Callable[[], object]) -> int:
        """Have `callback` called in `loop`, which runs here, once `seconds` have passed."""
        key = next(self._keys)
        sleeper = self._sleepers[key] = _Sleeper(key, loop, callback)
        if self._autojump:
            sleeper.asleep = _Idleness.of(loop).watch(loop, self._idle)
            sleeper.asleep.add(key)
        sleeper.number = self._register(seconds, key)
        return key

    def _alarm(self, seconds: float, callback: Callable[[], object]) -> int:
        """Have `callback` called once `seconds` have passed, in the thread that moves time."""
        key = next(self._keys)
        sleeper = self._sleepers[key] = Alarm(callback)
        sleeper.number = self._register(seconds, key)
        return key

    def _cancel(self, key: int) -> None:
        """Forget a callback that was not called; a cancelled sleeper never moves time."""
        sleeper = self._sleepers.pop(key, None)
        if sleeper is not None:
            self._leave(sleeper.number)
            sleeper.asleep.discard(key)

    def _wake(self, key: int) -> None:
        """Call a callback whose time has come; `MockTime` asks for this, in any thread."""
        sleeper = self._sleepers.pop(key, None)
        if sleeper is not None:
            sleeper.wake()

    def _idle(self) -> None:
        """Jump, unless `run_for` moves this clock."""
        if not self._runs:
            self._jump()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(now={self.now()!r}, autojump={self._autojump})"

    def __reduce__(self) -> NoReturn:
        name = type(self).__name__
        message = f"a {name} has live state and is not pickled or copied; make one in each process"
        raise TypeError(message)


class _Sleeper:
    """Who is to be called, and in which event loop."""

    __slots__ = ("asleep", "callback", "key", "loop", "number")

    def __init__(self, key: int, loop: Loop, callback: Callable[[], object]) -> None:
        self.key = key
        self.loop = loop
        self.callback = callback
        self.number = 0
        # All who sleep on this clock in this loop, as far as its idleness cares.
        self.asleep: set[int] = set()

    def wake(self) -> None:
        if try_running_loop() is self.loop:
            self.call()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits there
            self.loop.call_soon_threadsafe(self.call)

    def call(self) -> None:
        self.asleep.discard(self.key)
        self.callback()


class _Idleness:
    """Notices that an event loop has nothing left to run, and lets its mock clocks jump.

    While anybody sleeps on a mock clock in this loop, a probe runs in each of its turns. The loop
    is idle when the probe finds nothing else to run twice in a row: between the two the loop has
    asked for I/O and for timers that are due.
    """

    # A loop keeps its idleness, through the probe, and this finds it: neither keeps a loop alive.
    _known: ClassVar[weakref.WeakKeyDictionary[Loop, weakref.ref[_Idleness]]] = (
        weakref.WeakKeyDictionary()
    )

    def __init__(self) -> None:
        # Who sleeps here, by what lets their clock jump.
        self.asleep: dict[Callable[[], None], set[int]] = {}
        self.waiting: list[Future] = []
        self.probing = False
        self.quiet = 0

    @classmethod
    def of(cls, loop: Loop) -> _Idleness:
        """Return the idleness of a loop, the one that probes if there is one."""
        known = cls._known.get(loop)
        idleness = known() if known is not None else None
        if idleness is None:
            idleness = cls()
            cls._known[loop] = weakref.ref(idleness)
        return idleness

    def watch(self, loop: Loop, jump: Callable[[], None]) -> set[int]:
        """Return the set of who sleeps on a clock here; while it holds one, the clock jumps."""
        self._start(loop)
        return self.asleep.setdefault(jump, set())

    async def wait(self, loop: Loop) -> None:
        """Wait until the loop is idle; of several who wait, one goes on at a time."""
        idle: Future = loop.create_future()
        self.waiting.append(idle)
        self._start(loop)
        await idle

    def _start(self, loop: Loop) -> None:
        if not self.probing:
            self.probing = True
            self.quiet = 0
            self._again(loop)

    def _again(self, loop: Loop) -> None:
        if hasattr(loop, "_ready"):
            loop.call_soon(self._probe, loop)
        else:
            # uvloop hides what is ready: leave callbacks, which nobody can count, some time.
            loop.call_later(0.001, self._probe, loop)

    def _probe(self, loop: Loop) -> None:
        self.quiet = 0 if _busy(loop) else self.quiet + 1
        try:
            if self.quiet == 2:
                self.quiet = 0
                self._idle()
        finally:
            self.probing = bool(self.waiting or self.asleep)
            if self.probing:
                self._again(loop)

    def _idle(self) -> None:
        while self.waiting and not settle(self.waiting.pop(0)):
            pass
        for jump, asleep in list(self.asleep.items()):
            if asleep:
                jump()
            else:
                del self.asleep[jump]


def _busy(loop: Loop) -> bool:
    """Return whether the loop has more to run in this turn than the one who asks."""
    ready = getattr(loop, "_ready", None)
    if ready is not None:
        return bool(ready)
    return any(_runnable(task) for task in asyncio.all_tasks(loop))


def _runnable(task: asyncio.Task[object]) -> bool:
    waits_for = getattr(task, "_fut_waiter", task)
    return waits_for is None or (waits_for is not task and waits_for.done())


def call_later(
    clock: Clock,
    loop: Loop,
    seconds: float,
    callback: Callable[[BaseException | None], object],
) -> Callable[[], object]:
    """Have `callback` called in `loop`, which runs here, once `seconds` have passed by a clock.

    It is told what a clock of the user's own has failed with. Return what calls this off.
    """
    if isinstance(clock, MockClock) and type(clock).sleep_async is MockClock.sleep_async:
        ring = functools.partial(callback, None)
        key = clock._call_later(loop, seconds, ring)  # pyright: ignore[reportPrivateUsage]
        return functools.partial(clock._cancel, key)  # pyright: ignore[reportPrivateUsage]
    if type(clock) is MonotonicClock:
        return loop.call_later(seconds, callback, None).cancel
    return _sleep_beside(clock, loop, seconds, callback)


def _sleep_beside(
    clock: Clock,
    loop: Loop,
    seconds: float,
    callback: Callable[[BaseException | None], object],
) -> Callable[[], object]:
    """Sleep in a task beside the one that asks: a clock of the user's own can do no more."""

    def slept(task: asyncio.Task[None]) -> None:
        callback(None if task.cancelled() else task.exception())

    def call_off() -> None:
        task.remove_done_callback(slept)
        task.cancel()

    task = loop.create_task(clock.sleep_async(seconds))
    task.add_done_callback(slept)
    return call_off


def settle(future: Future) -> bool:
    """Let whoever awaits a future go on; False if it went or was cancelled before."""
    if future.done():
        return False
    future.set_result(None)
    return True


def running_loop(caller: str) -> Loop:
    """Return the running event loop, or say who needs one."""
    loop = try_running_loop()
    if loop is None:
        message = f"{caller} needs a running asyncio event loop; uvloop is one, trio is not"
        raise RuntimeError(message)
    return loop


def present_task() -> asyncio.Task[Any] | None:
    """Return the task that runs, if there is one."""
    return asyncio.current_task()


def try_running_loop() -> Loop | None:
    """Return the running event loop, if this thread has one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def running_task() -> object | None:
    """Return the task that runs in this thread, if one does."""
    return asyncio.current_task() if try_running_loop() is not None else None


def _finite(seconds: float) -> float:
    message = f"seconds is {seconds!r}; give a finite number of seconds"
    try:
        finite = math.isfinite(seconds)
    except TypeError:
        raise TypeError(message) from None
    if not finite:
        raise ValueError(message)
    return seconds
