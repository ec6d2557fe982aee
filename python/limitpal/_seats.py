"""How a thread sleeps on a mock clock where a hedged attempt has given it a seat."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator


class Alarm:
    """Whom a mock clock calls, in whatever thread moves time."""

    __slots__ = ("asleep", "number", "wake")

    def __init__(self, callback: Callable[[], object]) -> None:
        self.wake = callback
        self.number = 0
        self.asleep: set[int] = set()


class _Seats(threading.local):
    """How the present thread sleeps on a mock clock, if in another way than most."""

    clock: object = None
    how: Callable[[float], None] | None = None

    def park(self, clock: object) -> Callable[[float], None] | None:
        return self.how if self.clock is clock else None


seats = _Seats()


@contextlib.contextmanager
def seated(clock: object, park: Callable[[float], None]) -> Generator[None]:
    """Have the present thread sleep on this clock, if it is a mock, in a way of its own."""
    before = seats.clock, seats.how
    seats.clock, seats.how = clock, park
    try:
        yield
    finally:
        seats.clock, seats.how = before
