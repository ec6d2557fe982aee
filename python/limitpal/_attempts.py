"""Retrying a block of code: `for attempt in policy.attempts(): with attempt: …`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ._limitpal import Attempt, _ExecutorCore, _invalid_config

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._clock import Clock
    from ._limitpal import RetryBudget, RetryPolicy, _Run

__all__ = ["AsyncAttempts", "Attempts", "BlockAttempt"]


class _Block:
    """One run of a block: what was decided after its last attempt."""

    def __init__(self, core: _ExecutorCore, deadline: float | None) -> None:
        self.core = core
        self.deadline = deadline
        self.run: _Run | None = None
        self.attempt: BlockAttempt | None = None
        self.delay = 0.0

    def next(self) -> BlockAttempt:
        if self.run is None:
            self.run = self.core.begin_block(self.deadline)
        self.attempt = BlockAttempt(self.run.attempt(), self)
        return self.attempt

    def is_over(self) -> bool:
        """Whether the last attempt succeeded; one that never began would be repeated for ever."""
        if self.attempt is None:
            return False
        if not self.attempt.has_ended:
            message = (
                f"attempt {self.attempt.number} has not ended; write `with attempt:` in the loop"
            )
            raise RuntimeError(message)
        return not self.attempt.is_followed

    def failed(self, error: BaseException) -> bool:
        """Returns whether there is another attempt; raises `RetryExhausted` if there could be."""
        assert self.run is not None
        run = self.core.failed(self.run, error)
        return run is not None and self._again(run)

    def gave(self, value: object) -> bool:
        """Returns whether the value is not good enough, and there is another attempt."""
        assert self.run is not None
        run = self.core.succeeded(self.run, value)
        return run is not None and self._again(run)

    def _again(self, run: _Run) -> bool:
        # A run of retries alone waits for nothing else than a delay.
        step = run.next("")
        assert step is not None
        assert step[0] == "sleep"
        self.delay = step[1]
        return True

    def slept(self) -> None:
        assert self.run is not None
        self.run.slept()
        self.run.next("")

    def close(self) -> None:
        if self.run is not None:
            self.run.close()


class BlockAttempt(Attempt):
    """One attempt of a block: `with attempt:` is where an error is caught that deserves another.

    A block that sets `result` lets the policy's `retry_on_result` judge it.
    """

    def __new__(cls, attempt: Attempt, block: _Block) -> Self:
        return super().__new__(cls, attempt)

    def __init__(self, attempt: Attempt, block: _Block) -> None:
        self.error: BaseException | None = None
        self.result: object = None
        self.has_ended = False
        self.is_followed = False
        self._block = block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.has_ended = True
        self.error = error
        if error is None:
            self.is_followed = self._block.gave(self.result)
            return False
        self.is_followed = self._block.failed(error)
        return self.is_followed


class _Loop:
    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock | None,
        budget: RetryBudget | None,
        deadline: float | None,
    ) -> None:
        if deadline is not None and math.isnan(deadline):
            advice = "give a time of the clock in seconds, such as clock.now() + 30"
            raise _invalid_config("deadline", deadline, advice)
        self._core = _ExecutorCore(
            False, None, None, policy, None, clock, "call", None, budget, None
        )
        self._deadline = deadline


class Attempts(_Loop):
    """The attempts of a block; each loop over it is a run of its own."""

    def __iter__(self) -> _Iterator:
        return _Iterator(self._core, self._deadline)


class AsyncAttempts(_Loop):
    """The async twin of `Attempts`."""

    def __aiter__(self) -> _AsyncIterator:
        return _AsyncIterator(self._core, self._deadline)


class _Iterator:
    def __init__(self, core: _ExecutorCore, deadline: float | None) -> None:
        self._block = _Block(core, deadline)

    def __iter__(self) -> _Iterator:
        return self

    def __next__(self) -> BlockAttempt:
        block = self._block
        if block.is_over():
            raise StopIteration
        if block.attempt is not None:
            try:
                block.core.clock.sleep(block.delay)
            except BaseException:
                block.close()
                raise
            block.slept()
        return block.next()


class _AsyncIterator:
    def __init__(self, core: _ExecutorCore, deadline: float | None) -> None:
        self._block = _Block(core, deadline)

    def __aiter__(self) -> _AsyncIterator:
        return self

    async def __anext__(self) -> BlockAttempt:
        block = self._block
        if block.is_over():
            raise StopAsyncIteration
        if block.attempt is not None:
            try:
                await block.core.clock.sleep_async(block.delay)
            except BaseException:
                block.close()
                raise
            block.slept()
        return block.next()
