"""Many who wait at once: tasks on the mock clock, or threads on a clock of the user's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any

import limitpal
from conformance_cases import Fields, WrongCase, decimal, seconds, written
from conformance_parts import now
from driving import settle

LIVELY = 10_000  # so many wakes in one move are no progress
STUCK = 20.0  # real seconds; only far beyond what a thread needs is a test stuck


class Interrupted(Exception):
    """What a sleep raises that is interrupted."""


class ParkedClock:
    """A user's own clock: time stands until the test moves it, and wakes one sleeper at a time."""

    def __init__(self) -> None:
        self._now = 0
        self._busy = 0  # threads that neither sleep nor have ended
        self._slept = 0
        self._sleepers: dict[tuple[int, int], threading.Thread] = {}
        self._interrupted: set[threading.Thread] = set()
        self._changed = threading.Condition()

    def now(self) -> float:
        return self._now / 1e9

    def sleep(self, seconds: float) -> None:
        with self._changed:
            self._slept += 1
            sleeper = (self._now + round(seconds * 1e9), self._slept)
            self._sleepers[sleeper] = threading.current_thread()
            self._busy -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: sleeper not in self._sleepers)
            if threading.current_thread() in self._interrupted:
                raise Interrupted

    async def sleep_async(self, seconds: float) -> None:
        raise AssertionError("nothing async runs on this clock")

    def start(self, work: Callable[[], None]) -> threading.Thread:
        """Start a thread and let it go as far as it can without time passing."""

        def run() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

        self._busy += 1
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._rest()
        return thread

    def move_to(self, at: int) -> None:
        """Move the time, waking each sleeper at its deadline and waiting until it rests again."""
        wakes = 0
        while self._sleepers and min(self._sleepers)[0] <= at:
            wakes += 1
            assert wakes < LIVELY, "threads sleep for no time, for ever"
            with self._changed:
                sleeper = min(self._sleepers)
                self._now = max(self._now, sleeper[0])
                self._busy += 1
                del self._sleepers[sleeper]
                self._changed.notify_all()
            self._rest()
        self._now = at

    def interrupt(self, thread: threading.Thread) -> None:
        """Make a thread's sleep raise."""
        with self._changed:
            sleeper = next(s for s, own in self._sleepers.items() if own is thread)
            self._interrupted.add(thread)
            self._busy += 1
            del self._sleepers[sleeper]
            self._changed.notify_all()
        self._rest()

    def next_deadline(self) -> int | None:
        """Return when the next sleeper wakes."""
        return min(self._sleepers)[0] if self._sleepers else None

    def _rest(self) -> None:
        with self._changed:
            rests = self._changed.wait_for(lambda: self._busy == 0, STUCK)
        assert rests, "a thread neither slept on its clock nor ended"


class Tasks:
    """Tasks that wait on the mock clock, whose sleepers can be moved."""

    def __init__(self) -> None:
        self.clock = limitpal.MockClock(autojump=False)
        self.outcomes: list[Fields] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, limiter: Any, asked: Fields) -> None:
        """Start one who waits."""

        async def wait() -> None:
            try:
                await limiter.acquire(**asked)
            except limitpal.RateLimitExceeded as refusal:
                self.outcomes.append(refused(name, self.clock, refusal))
            except asyncio.CancelledError:
                self.outcomes.append(cancelled(name, self.clock))
            else:
                self.outcomes.append(granted(name, self.clock))

        self._tasks[name] = asyncio.ensure_future(wait())
        await settle()

    async def cancel(self, name: str) -> None:
        """Make one leave the line."""
        self._tasks[name].cancel()
        await settle()

    async def move_to(self, at: int) -> None:
        """Let time pass, from deadline to deadline."""
        await settle()
        left = at - now(self.clock)
        if left < 0:
            raise WrongCase(f"it is {written(now(self.clock))} already")
        await self.clock.run_for(left / 1e9)

    async def set_time(self, at: int) -> None:
        self.clock.set_time(at / 1e9)
        await settle()

    async def finish(self, last: str) -> None:
        """Let time pass until `last`: then nobody may wait any more."""
        await self.move_to(max(now(self.clock), round(seconds(last) * 1e9)))
        left = [name for name, task in self._tasks.items() if not task.done()]
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if left:
            raise WrongCase(f"{left} wait longer than written; till then {self.outcomes}")


class Threads:
    """Threads that wait on a clock of the user's, who cannot be moved."""

    def __init__(self) -> None:
        self.clock = ParkedClock()
        self.outcomes: list[Fields] = []
        self._threads: dict[str, threading.Thread] = {}

    async def join(self, name: str, limiter: Any, asked: Fields) -> None:
        """Start one who waits."""

        def wait() -> None:
            try:
                limiter.acquire(**asked)
            except limitpal.RateLimitExceeded as refusal:
                self.outcomes.append(refused(name, self.clock, refusal))
            except Interrupted:
                self.outcomes.append(cancelled(name, self.clock))
            else:
                self.outcomes.append(granted(name, self.clock))

        self._threads[name] = self.clock.start(wait)

    async def cancel(self, name: str) -> None:
        """Make one leave the line."""
        self.clock.interrupt(self._threads[name])

    async def move_to(self, at: int) -> None:
        """Let time pass, from deadline to deadline."""
        self.clock.move_to(at)

    async def finish(self, last: str) -> None:
        """Let time pass until nobody waits."""
        while (deadline := self.clock.next_deadline()) is not None:
            self.clock.move_to(deadline)


def granted(name: str, clock: Any) -> Fields:
    """Return what a grant looks like in `outcomes`."""
    return {"who": name, "granted_at": written(now(clock))}


def cancelled(name: str, clock: Any) -> Fields:
    """Return what one who left looks like in `outcomes`."""
    return {"who": name, "cancelled_at": written(now(clock))}


def refused(name: str, clock: Any, refusal: limitpal.RateLimitExceeded) -> Fields:
    """Return what a refusal looks like in `outcomes`."""
    return {
        "who": name,
        "refused_at": written(now(clock)),
        "refused_for": decimal(refusal.retry_after),
    }


class BreakerTasks:
    """Calls through a breaker as tasks; a cancelled one is a cancelled task."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[asyncio.Task[None], asyncio.Future[None]]] = {}

    async def begin(self, name: str, breaker: limitpal.CircuitBreaker) -> float | None:
        """Begin a call: how long it is refused for, or None when it is admitted."""
        end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def function() -> None:
            await end

        task = asyncio.ensure_future(breaker.call_async(function))
        await settle()
        if task.done():
            return refused_for(task.exception())
        self._calls[name] = (task, end)
        return None

    async def end(self, name: str, how: str) -> None:
        """End a call."""
        task, end = self._calls.pop(name)
        if how == "cancel":
            task.cancel()
        elif how == "ok":
            end.set_result(None)
        else:
            end.set_exception(Down())
        await settle()
        assert task.done()
        assert task.cancelled() is (how == "cancel")
        if how != "cancel":
            assert isinstance(task.exception(), Down) is (how == "error")


class BreakerThreads:
    """Calls through a breaker in threads; in a cancelled one the function raises that it is."""

    def __init__(self) -> None:
        self._calls: dict[str, tuple[threading.Thread, threading.Event, dict[str, str]]] = {}

    async def begin(self, name: str, breaker: limitpal.CircuitBreaker) -> float | None:
        """Begin a call: how long it is refused for, or None when it is admitted."""
        began, ended, how = threading.Event(), threading.Event(), {}
        refusals: list[float | None] = []

        def function() -> None:
            began.set()
            assert ended.wait(STUCK)
            if how["how"] == "cancel":
                raise concurrent.futures.CancelledError
            if how["how"] == "error":
                raise Down

        def run() -> None:
            try:
                breaker.call(function)
                how["came"] = "ok"
            except limitpal.CircuitBreakerOpen as refusal:
                refusals.append(refusal.retry_after)
                began.set()
            except Down:
                how["came"] = "error"
            except concurrent.futures.CancelledError:
                how["came"] = "cancel"

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        assert began.wait(STUCK)
        if refusals:
            thread.join(STUCK)
            return refusals[0]
        self._calls[name] = (thread, ended, how)
        return None

    async def end(self, name: str, how: str) -> None:
        """End a call."""
        thread, ended, told = self._calls.pop(name)
        told["how"] = how
        ended.set()
        thread.join(STUCK)
        assert told["came"] == how


class Down(Exception):
    """What a failing function raises."""


def refused_for(error: BaseException | None) -> float | None:
    """Return how long a refusal says to wait."""
    assert isinstance(error, limitpal.CircuitBreakerOpen), error
    return error.retry_after
