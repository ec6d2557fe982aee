"""Waiting for one's turn at an async limiter: every wait of the async twins goes through here."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ._clock import MockClock, MonotonicClock, running_loop, settle, try_running_loop

if TYPE_CHECKING:
    from ._clock import Future, Loop
    from ._limitpal import Place


async def take_turn(place: Place) -> None:
    """Wait until a place comes up; whoever is interrupted gives it to the next in line."""
    try:
        if place.movable:
            turn = _Turn(place, running_loop("a wait for quota"))
            try:
                turn.start()
                # Awaited directly: each hop between would cost a turn of the event loop.
                await turn.future
            finally:
                turn.cancel()
        elif place.grows:
            while (left := place.claim()) is not None:
                await place.clock.sleep_async(left)
        else:
            wait: float | None = place.wait
            while wait is not None:
                await place.clock.sleep_async(wait)
                # More, if the limiter has changed meanwhile.
                wait = place.arrive()
    except BaseException:
        place.leave()
        raise


def sit_out(place: Place) -> None:
    """Block the thread until a place comes up whose wait may become longer while it lasts."""
    clock = place.clock
    try:
        while (left := place.claim()) is not None:
            if type(clock) is MonotonicClock:
                bell = Bell()
                bell.wait(min(left, place.arm(bell.ring)))
            else:
                clock.sleep(left)
    except BaseException:
        place.leave()
        raise


class _Turn:
    """A place, the timer set for it, and the future its task awaits."""

    __slots__ = ("_cancel_timer", "_clock", "_loop", "_place", "future")

    def __init__(self, place: Place, loop: Loop) -> None:
        self._place = place
        self._clock = place.clock
        self._loop = loop
        self._cancel_timer: Callable[[], None] | None = None
        self.future: Future = loop.create_future()

    def start(self) -> None:
        """Set the timer, and be told when the place comes up earlier."""
        asked = self._loop.time()
        seconds = self._place.arm(self._moved)
        if seconds > 0:
            self._set_timer(asked, seconds)
        else:
            # A timer set for now would ring after those of later comers that are overdue too.
            self._ring()

    def cancel(self) -> None:
        """Stop the timer, if it still runs."""
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None

    def _set_timer(self, asked: float, seconds: float) -> None:
        """Have the bell rung so many seconds after one asked.

        Counted from before the answer, it may ring a little early, and is then set again; counted
        from later, who came later could go before.
        """
        if isinstance(self._clock, MockClock):
            clock = self._clock
            key = clock._call_later(self._loop, seconds, self._ring)  # pyright: ignore[reportPrivateUsage]
            self._cancel_timer = partial(clock._cancel, key)  # pyright: ignore[reportPrivateUsage]
        else:
            self._cancel_timer = self._loop.call_at(asked + seconds, self._ring).cancel

    def _ring(self) -> None:
        moving.add(self._go)

    def _go(self) -> None:
        """Go, in the order of the timers: the quota is granted here, not when the task runs.

        Who goes makes the next be moved; that one's turn comes once this one's future is settled.
        """
        if self.future.done():
            return
        asked = self._loop.time()
        try:
            # One that waits for several limiters is claimed by its run: others may go before.
            left = None if self._place.provisional else self._place.claim()
            if left is None:
                settle(self.future)
            else:
                self._set_timer(asked, left)
        except BaseException as error:
            self.future.set_exception(error)

    def _moved(self) -> None:
        """Set the timer anew; the core calls this, in any thread, when the place is up earlier."""
        running = try_running_loop()
        if running is self._loop or (running is None and not self._loop.is_running()):
            moving.add(self._restart)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(moving.add, self._restart)

    def _restart(self) -> None:
        if not self.future.done():
            self.cancel()
            self.start()


class _Moving(threading.local):
    """Those who go or are moved in this thread, one after the other.

    Who goes moves up the next, who may go at once and moves up the next: without a queue that
    would be as deep a stack as the line is long.
    """

    def __init__(self) -> None:
        self._queue: deque[Callable[[], None]] = deque()
        self._busy = False

    def add(self, step: Callable[[], None]) -> None:
        """Do a step, after those that are under way."""
        self._queue.append(step)
        if self._busy:
            return
        self._busy = True
        try:
            while self._queue:
                self._queue.popleft()()
        finally:
            self._busy = False


moving = _Moving()


class Bell:
    """What ends the wait of a thread; however often it is rung, it has rung."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has been rung before
            self._lock.release()

    def wait(self, seconds: float = threading.TIMEOUT_MAX) -> None:
        self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))

    def wait_while(self, sleep: Callable[[], None]) -> None:
        """Wait until it is rung, or a sleep is over that nobody can end: in a thread of its own."""
        failed: list[BaseException] = []

        def sleep_and_ring() -> None:
            try:
                sleep()
            except BaseException as error:
                failed.append(error)
            self.ring()

        threading.Thread(target=sleep_and_ring, name="limitpal timeout", daemon=True).start()
        self.wait()
        if failed:
            raise failed[0]
