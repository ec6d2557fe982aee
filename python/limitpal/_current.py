"""Which attempt the present code is part of: `current_attempt()`."""

from __future__ import annotations

from contextvars import ContextVar

from ._limitpal import Attempt

#: Set while an attempt lasts of which there is more to say than that it is the first.
marked: ContextVar[Attempt | None] = ContextVar("limitpal_attempt", default=None)

_FIRST = Attempt()


def current_attempt() -> Attempt:
    """Return the attempt that the present code is part of.

    Of executors within each other, and of loops over attempts, it is the innermost. Outside of any
    it is as in a first attempt that waited for nothing: number 1, no last error, no deadline. So
    it is in what an attempt has begun and left behind, a task or a thread, once it has ended.

    >>> from limitpal import RetryPolicy, current_attempt
    >>> for attempt in RetryPolicy(base_delay=0).attempts():
    ...     with attempt:
    ...         if current_attempt().number == 1:
    ...             raise OSError("reset")
    ...         print(current_attempt(), repr(current_attempt().last_error))
    <Attempt 2> OSError('reset')
    >>> current_attempt().number
    1
    """
    attempt = marked.get()
    return _FIRST if attempt is None or attempt._is_over else attempt
