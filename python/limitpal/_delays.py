"""How delays grow from attempt to attempt, as values for `RetryPolicy(delays=)`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from ._limitpal import _check_delays


class _Delays:
    _kind: ClassVar[str]

    def __post_init__(self) -> None:
        _check_delays(self)


@dataclass(frozen=True)
class Exponential(_Delays):
    """Each delay is `factor` times the one before: `base * factor ** (n - 1)` after attempt n.

    `base` is in seconds, at least 0; `factor` is at least 1.

    >>> from limitpal import Exponential, RetryPolicy
    >>> policy = RetryPolicy(delays=Exponential(0.5, factor=3))
    >>> [policy.next_delay(n) for n in (1, 2, 3)]
    [0.5, 1.5, 4.5]
    """

    _kind: ClassVar[str] = "exponential"

    base: float = 0.1
    factor: float = 2.0


@dataclass(frozen=True)
class Constant(_Delays):
    """The same delay after each attempt, in seconds, at least 0.

    >>> from limitpal import Constant, RetryPolicy
    >>> policy = RetryPolicy(delays=Constant(2.0))
    >>> [policy.next_delay(n) for n in (1, 2, 3)]
    [2.0, 2.0, 2.0]
    """

    _kind: ClassVar[str] = "constant"

    seconds: float


@dataclass(frozen=True)
class Linear(_Delays):
    """Each delay is longer by `step`: `base + step * (n - 1)` after attempt n.

    Both are in seconds, at least 0; without a `step` it is `base`.

    >>> from limitpal import Linear, RetryPolicy
    >>> policy = RetryPolicy(delays=Linear(1.0, step=0.5))
    >>> [policy.next_delay(n) for n in (1, 2, 3)]
    [1.0, 1.5, 2.0]
    """

    _kind: ClassVar[str] = "linear"

    base: float
    step: float | None = None


@dataclass(frozen=True)
class Fibonacci(_Delays):
    """Each delay is the sum of the two before: `base` times 1, 1, 2, 3, 5, 8, and so on.

    `base` is in seconds, at least 0.

    >>> from limitpal import Fibonacci, RetryPolicy
    >>> policy = RetryPolicy(delays=Fibonacci(0.5))
    >>> [policy.next_delay(n) for n in (1, 2, 3, 4, 5)]
    [0.5, 0.5, 1.0, 1.5, 2.5]
    """

    _kind: ClassVar[str] = "fibonacci"

    base: float = 0.1


# What `delays=` takes besides: seconds in turn of which the last repeats, and a function of the
# attempt's number.
Delays: TypeAlias = (
    Exponential | Constant | Linear | Fibonacci | Iterable[float] | Callable[[int], float]
)
