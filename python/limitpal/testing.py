"""For tests of programs that retry: no waiting between attempts, or fewer of them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ._limitpal import _begin_rehearsal, _end_rehearsal

__all__ = ["retries"]


@contextmanager
def retries(*, wait: bool = False, max_attempts: int | None = None) -> Generator[None]:
    """While the block lasts, no run of the process waits between attempts.

    - `wait`: True leaves the waits in, for a cap on attempts alone
    - `max_attempts`: at least 1; each run makes at most so many, besides what its policy says

    It holds for all threads and tasks, so also for a server that a test started in another thread.
    Blocks may be nested and may overlap: any of them leaves the waits out, and the fewest attempts
    count. A wait that is left out counts for `max_elapsed` as if it had been. Waits for quota are
    none between attempts: for these give the limiter a `MockClock`.

    >>> from limitpal import ResilientExecutor, RetryExhausted, RetryPolicy, testing
    >>> executor = ResilientExecutor(retry_policy=RetryPolicy(max_attempts=9, base_delay=5.0))
    >>> with testing.retries(max_attempts=2):
    ...     try:
    ...         executor.run("api", lambda: 1 / 0)
    ...     except RetryExhausted as end:
    ...         print(end.attempts, end.reason)
    2 attempts
    """
    number = _begin_rehearsal(wait, max_attempts)
    try:
        yield
    finally:
        _end_rehearsal(number)
