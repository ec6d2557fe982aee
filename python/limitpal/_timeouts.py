"""Cutting an awaited attempt short when its time is over, as `asyncio.timeout` does."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from ._clock import Cancelled, MockClock, call_later, present_task, running_loop, try_running_loop

if TYPE_CHECKING:
    from ._clock import Clock

# What our own cancelling of a task says, where Python cannot count who cancels.
_OURS = "limitpal: the time of the attempt is over"


class TimeIsUp(BaseException):
    """An attempt was cut short; only executors see this."""


async def wait_for(awaitable: Awaitable[Any]) -> Any:
    """Make a coroutine of whatever can be awaited."""
    return await awaitable


@types.coroutine
def until(
    attempt: Coroutine[Any, Any, Any], left: Callable[[], float], clock: Clock
) -> Generator[Any, Any, Any]:
    """Await an attempt until its time is over; then it is cancelled, and `TimeIsUp` is raised.

    The timer is set where the attempt first has to wait: one that does not wait needs none. A
    cancellation from outside is never taken for ours.
    """
    timer: _Timer | None = None
    step: Callable[[], Any] = partial(attempt.send, None)
    try:
        while True:
            try:
                waits_for = step()
            except StopIteration as end:
                return end.value
            if timer is None:
                try:
                    timer = _Timer(left(), clock)
                except BaseException:
                    attempt.close()
                    raise
            try:
                sent = yield waits_for
            except GeneratorExit:
                attempt.close()
                raise
            except BaseException as error:
                step = partial(attempt.throw, error)
            else:
                step = partial(attempt.send, sent)
    except Cancelled as error:
        if timer is not None and timer.stop(error):
            if timer.failure is not None:
                raise timer.failure from None
            raise TimeIsUp from error
        raise
    finally:
        if timer is not None:
            timer.stop(None)


class _Timer:
    """What cancels the present task when the time is over."""

    __slots__ = (
        "_are_two",
        "_before",
        "_call_off",
        "_counts",
        "_has_stopped",
        "_loop",
        "_others_are_due",
        "_rang",
        "_task",
        "failure",
    )

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._loop = running_loop("a timeout")
        # Any, since not every Python has all of its methods.
        task: Any = present_task()
        if task is None:
            message = "a timeout needs an asyncio task to cancel; await the run in one"
            raise RuntimeError(message)
        self._task = task
        # From Python 3.11 on a task counts how often it is being cancelled.
        self._counts = hasattr(self._task, "uncancel")
        self._before: int = self._task.cancelling() if self._counts else 0
        self._rang = False
        self._are_two = False
        self._has_stopped = False
        # With what a clock of the user's own has failed.
        self.failure: BaseException | None = None
        # On a mock clock all that is due at one instant is there when an attempt is judged.
        self._others_are_due = clock._are_due if isinstance(clock, MockClock) else _nobody_is_due
        self._call_off = call_later(clock, self._loop, max(seconds, 0.0), self._ring)

    def _ring(self, failure: BaseException | None) -> None:
        self.failure = failure
        if try_running_loop() is self._loop and present_task() is self._task:
            # The attempt itself has moved a mock clock: it is cancelled where it waits next.
            self._loop.call_soon(self._cut)
        elif self._others_are_due():
            self._loop.call_soon(self._cut_unless_ready)
        else:
            self._cut_unless_ready()

    def _cut_unless_ready(self) -> None:
        """Cut an attempt unless what it waits for is there already: then it is in time."""
        waits_for = getattr(self._task, "_fut_waiter", None)
        if waits_for is not None and waits_for.done():
            # The task goes on before this; if it waits once more it is cut there.
            self._loop.call_soon(self._cut)
        else:
            self._cut()

    def _cut(self) -> None:
        if self._has_stopped or self._task.done():
            return
        if self._counts:
            self._rang = True
            self._task.cancel()
        elif not _is_being_cancelled(self._task):
            self._rang = True
            # Runs just before the task does.
            self._loop.call_soon(self._look)
            self._task.cancel(_OURS)

    def _look(self) -> None:
        """See whether somebody else cancels the task before it has noticed that we do."""
        self._are_two = self._are_two or bool(self._task._must_cancel)

    def stop(self, error: BaseException | None) -> bool:
        """Stop the timer; return whether it was this that cancelled the task."""
        if self._has_stopped:
            return False
        self._has_stopped = True
        self._call_off()
        if not self._rang:
            return False
        if self._counts:
            return bool(self._task.uncancel() <= self._before)
        return error is not None and error.args == (_OURS,) and not self._are_two


def _nobody_is_due() -> bool:
    return False


def _is_being_cancelled(task: Any) -> bool:
    """Return whether somebody has cancelled a task that has not noticed yet, before Python 3.11."""
    while task is not None:
        if getattr(task, "_must_cancel", False) or getattr(task, "_cancel_requested", False):
            return True
        if task.cancelled():
            return True
        task = getattr(task, "_fut_waiter", None)
    return False
