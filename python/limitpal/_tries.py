"""Several tries of one awaited attempt, each in a task of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ._awaitable import COROUTINE, is_awaitable
from ._clock import MockClock, call_later, running_loop, settle
from ._errors import BulkheadFull, RateLimitExceeded

if TYPE_CHECKING:
    from ._clock import Clock, Future, Task
    from ._limitpal import _Race


class Tries:
    """One attempt: the first try, and others where it is slow.

    Whatever ends it, no task is left: those that have lost are cancelled and awaited.
    """

    def __init__(
        self,
        race: _Race,
        clock: Clock,
        key: str | int,
        call: Callable[[], Any],
        quota: Callable[[], Awaitable[Any]],
    ) -> None:
        self._race = race
        self._clock = clock
        self._key = key
        self._call = call
        self._quota = quota
        self._loop = running_loop("a hedge")
        self._tasks: dict[int, Task] = {}
        # Where charge="attempt", each hedge has a permit until it ends.
        self._permits: dict[int, Any] = {}
        self._kept: Task | None = None
        self._bell: Future | None = None

    async def outcome(self, first: Awaitable[Any]) -> Any:
        """Return the first value, or raise what the attempt fails with."""
        try:
            self._begin(0, first if type(first) is COROUTINE else _awaiting(first))
            has_waited = False
            while True:
                for number, task in list(self._tasks.items()):
                    if task.done() and (ended := self._ended(number, task)) is not None:
                        return ended.result()
                wait = self._race.wait()
                if wait is None or wait > 0:
                    has_waited = False
                    await self._sleep(wait)
                elif not has_waited:
                    # An answer that is there at this very instant has its say first.
                    has_waited = True
                    await self._turn()
                else:
                    has_waited = False
                    await self._hedge()
        except GeneratorExit:
            # Nothing can be awaited any more.
            self._cancel()
            raise
        finally:
            await self._end()

    def _begin(self, number: int, attempt: Any) -> None:
        task = self._tasks[number] = self._loop.create_task(attempt)
        task.add_done_callback(self._ring)

    def _ring(self, _task: object = None) -> None:
        if self._bell is not None:
            settle(self._bell)

    def _ended(self, number: int, task: Task) -> Task | None:
        """A try has ended; return the one that the attempt ends as, if it ends."""
        del self._tasks[number]
        self._permits.pop(number, None)
        if task.cancelled():
            return task
        error = task.exception()
        if error is None:
            verdict = self._race.gave(number, task.result())
        else:
            verdict = self._race.failed(number, error)
        if verdict == "keep":
            self._kept = task
        return task if verdict == "this" else self._kept if verdict == "kept" else None

    async def _sleep(self, seconds: float | None) -> None:
        """Wait until a try has ended, or for so long."""
        bell = self._bell = self._loop.create_future()
        failed: list[BaseException] = []

        def alarm(error: BaseException | None) -> None:
            if error is not None:
                failed.append(error)
            settle(bell)

        call_off = None
        if seconds is not None:
            call_off = call_later(self._clock, self._loop, seconds, alarm)
        try:
            # Another thread may have moved a mock clock since it was asked.
            moved = isinstance(self._clock, MockClock) and self._race.wait() != seconds
            if not moved and not any(task.done() for task in self._tasks.values()):
                await bell
        finally:
            self._bell = None
            if call_off is not None:
                call_off()
        if failed:
            raise failed[0]

    async def _turn(self) -> None:
        """Let the others run that are due now."""
        turn: Future = self._loop.create_future()
        self._loop.call_soon(settle, turn)
        await turn

    async def _hedge(self) -> None:
        """Begin another try, which is due, if there may be one."""
        race = self._race
        if not race.awaits_quota:
            started = race.start(self._key)
            if started is None:
                return
            number, permit = started
        else:
            if not race.charge():
                return
            try:
                permit = await self._quota()
            except (RateLimitExceeded, BulkheadFull):
                race.give_back()
                return
            except BaseException:
                race.give_back()
                raise
            number = race.begun()
        self._permits[number] = permit
        self._begin(number, self._try())

    async def _try(self) -> Any:
        result = self._call()
        return await result if is_awaitable(result) else result

    def _cancel(self) -> None:
        for task in self._tasks.values():
            task.remove_done_callback(self._ring)
            task.cancel()
        self._tasks.clear()
        self._race.close(0)

    async def _end(self) -> None:
        """Cancel what is under way and wait until it is gone, also if one is cancelled oneself."""
        under_way = list(self._tasks.values())
        self._cancel()
        stopped: BaseException | None = None
        for task in under_way:
            while not task.done():
                gone: Future = self._loop.create_future()

                def ring(_task: object, gone: Future = gone) -> None:
                    settle(gone)

                task.add_done_callback(ring)
                try:
                    await gone
                except GeneratorExit:
                    raise
                except BaseException as error:
                    stopped = error
            if not task.cancelled():
                task.exception()  # it was asked for: nobody need be told
        self._permits.clear()
        if stopped is not None:
            raise stopped


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
