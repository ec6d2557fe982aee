"""Worker threads, where a sync attempt has several tries or may be left behind."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ._clock import MockClock, MonotonicClock
from ._seats import seated
from ._turn import Bell

if TYPE_CHECKING:
    from ._clock import Clock
    from ._limitpal import CompositePermit, _Race

#: So many threads that have nothing to do are kept for the next attempts.
MOST_IDLE = 16


class _Worker(threading.Thread):
    """A thread that does one job after the other; it never keeps the process alive."""

    def __init__(self, pool: _Pool) -> None:
        super().__init__(name="limitpal worker", daemon=True)
        self._pool = pool
        self.jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            job = self.jobs.get()
            job()
            del job  # what it was given is not kept while there is nothing to do
            if not self._pool.keeps(self):
                return


class _Pool:
    """Threads that have nothing to do; there are as many as there are jobs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Worker] = []

    def start(self, job: Callable[[], None]) -> None:
        """Do a job, which raises nothing, in a thread."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            worker = _Worker(self)
            worker.start()
        worker.jobs.put(job)

    def keeps(self, worker: _Worker) -> bool:
        with self._lock:
            if len(self._idle) >= MOST_IDLE:
                return False
            self._idle.append(worker)
            return True

    def forget(self) -> None:
        """A child of `fork()` has none of its parent's threads."""
        self._lock = threading.Lock()
        self._idle = []


_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def attempt(
    race: _Race,
    clock: Clock,
    key: str | int,
    permit: CompositePermit | None,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Make an attempt whose tries run in threads; whoever is interrupted leaves them behind.

    `permit` is the run's: each try has it until it ends.
    """
    tries = _Tries(race, clock, permit, lambda: func(*args, **(kwargs or {})))
    try:
        return tries.outcome(key)
    finally:
        tries.leave()


class _Try:
    """One try in a thread, and what it came to."""

    __slots__ = ("_call", "_context", "_permits", "_tries", "error", "number", "value")

    def __init__(self, tries: _Tries, number: int, permits: tuple[Any, ...]) -> None:
        self._tries = tries
        self._call: Callable[[], Any] | None = tries.call
        self._context = contextvars.copy_context()
        self._permits = permits
        self.number = number
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Call the function; a pool's thread does this."""
        call, self._call = self._call, None
        assert call is not None
        try:
            with seated(self._tries.clock, self._tries.park):
                self.value = self._context.run(call)
        except BaseException as error:
            self.error = error
        self._permits = ()
        self._tries.ended(self)

    def result(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is None:
            return self.value
        try:
            raise self.error
        finally:
            del self.error  # it has this frame in its traceback


class _Tries:
    """The tries of one attempt, as their caller and their threads see them."""

    def __init__(
        self,
        race: _Race,
        clock: Clock,
        permit: CompositePermit | None,
        call: Callable[[], Any],
    ) -> None:
        self._race = race
        self._permits = () if permit is None else (permit,)
        self._lock = threading.Lock()
        self._bell = Bell()
        self._under_way = 0
        # Tries that neither have ended nor sleep on a mock clock.
        self._running = 0
        self._ended: list[_Try] = []
        self._kept: _Try | None = None
        self._is_left = False
        self.clock = clock
        self.call = call

    def outcome(self, key: str | int) -> Any:
        """Return the first value, or raise what the attempt fails with; None if it is cut short."""
        self._start(0, self._permits)
        while True:
            while (ended := self._next_ended()) is not None:
                final = self._judge(ended)
                if final is not None:
                    return final.result()
            if self._race.left() == 0.0:
                self._race.cut()
                return None
            due = self._race.wait()
            if due is None or due > 0:
                self._sleep(self._wait())
            elif (started := self._race.start(key)) is not None:
                number, permit = started
                self._start(number, (*self._permits, permit))

    def leave(self) -> None:
        """The attempt is over: whoever is under way goes on for nobody."""
        with self._lock:
            self._is_left = True
            left_behind = self._under_way
            self._ended.clear()
        self._kept = None
        self._permits = ()
        self._race.close(left_behind)

    def ended(self, one: _Try) -> None:
        """Hear that a try has ended, in its thread."""
        with self._lock:
            self._under_way -= 1
            self._running -= 1
            is_late = self._is_left
            if not is_late:
                self._ended.append(one)
        if is_late:
            self._race.came_late(one.error is not None)
        self._bell.ring()

    def park(self, seconds: float) -> None:
        """Sleep on a mock clock: in a try time stands still until all tries sleep."""
        bell, parked, woken = Bell(), False, False

        def wake() -> None:
            nonlocal woken
            with self._lock:
                woken = True
                self._running += parked
            bell.ring()

        clock = cast("MockClock", self.clock)
        key = clock._alarm(seconds, wake)  # pyright: ignore[reportPrivateUsage]
        with self._lock:
            parked = not woken
            self._running -= parked
        self._bell.ring()
        try:
            bell.wait()
        finally:
            clock._cancel(key)  # pyright: ignore[reportPrivateUsage]

    def _start(self, number: int, permits: tuple[Any, ...]) -> None:
        one = _Try(self, number, permits)
        with self._lock:
            self._under_way += 1
            self._running += 1
        try:
            _pool.start(one.run)
        except BaseException:
            with self._lock:
                self._under_way -= 1
                self._running -= 1
            raise

    def _next_ended(self) -> _Try | None:
        """Return the earliest of the tries that have ended, if any has."""
        with self._lock:
            if not self._ended:
                return None
            one = min(self._ended, key=lambda one: one.number)
            self._ended.remove(one)
            return one

    def _judge(self, one: _Try) -> _Try | None:
        """Return the try that the attempt ends as, if it ends."""
        if one.error is None:
            verdict = self._race.gave(one.number, one.value)
        else:
            verdict = self._race.failed(one.number, one.error)
        if verdict == "keep":
            self._kept = one
        return one if verdict == "this" else self._kept if verdict == "kept" else None

    def _wait(self) -> float | None:
        """Return in how many seconds the next try is due, or the attempt's time is over."""
        wait, left = self._race.wait(), self._race.left()
        return left if wait is None else wait if left is None else min(wait, left)

    def _sleep(self, seconds: float | None) -> None:
        """Wait until a try has ended, or for so long; Ctrl-C ends it."""
        clock = self.clock
        if isinstance(clock, MockClock) and type(clock).sleep is MockClock.sleep:
            self._sleep_mock(clock, seconds)
        elif seconds is None:
            self._bell.wait()
        elif type(clock) is MonotonicClock:
            self._bell.wait(seconds)
        else:
            self._sleep_beside(seconds)

    def _sleeps(self) -> bool:
        """Return whether no try runs: each sleeps on the mock clock, or has ended."""
        with self._lock:
            return self._running == 0

    def _sleep_mock(self, clock: MockClock, seconds: float | None) -> None:
        """Move the clock once all tries sleep on it, as a blocking sleep does."""
        key = None
        if seconds is not None:
            key = clock._alarm(seconds, self._bell.ring)  # pyright: ignore[reportPrivateUsage]
        try:
            if self._wait() != seconds:
                return  # somebody has moved the clock meanwhile
            if self._sleeps():
                clock._jump()
                # Who was woken has its say before a hedge that is due at the same instant.
                while not self._sleeps():
                    self._bell.wait()
            else:
                self._bell.wait()
        finally:
            if key is not None:
                clock._cancel(key)  # pyright: ignore[reportPrivateUsage]

    def _sleep_beside(self, seconds: float) -> None:
        """Sleep in a thread beside: a clock of the user's own can do no more."""
        failed: list[BaseException] = []

        def sleep() -> None:
            try:
                self.clock.sleep(seconds)
            except BaseException as error:
                failed.append(error)
            self._bell.ring()

        _pool.start(sleep)
        self._bell.wait()
        if failed:
            raise failed[0]
