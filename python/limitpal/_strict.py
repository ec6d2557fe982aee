"""The strict limiters: in no stretch of time of a length more than so many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from ._limiters import AsyncTokenBucket
from ._limitpal import SlidingWindowLog, TokenBucket, _strictly
from ._windows import AsyncSlidingWindowLog

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import BucketOptions

__all__ = ["async_strict", "strict"]


@overload
def strict(rate: str, burst: None = None, **options: Unpack[BucketOptions]) -> SlidingWindowLog: ...
@overload
def strict(rate: str, burst: float, **options: Unpack[BucketOptions]) -> TokenBucket: ...
def strict(rate: str, burst: float | None = None, **options: Any) -> SlidingWindowLog | TokenBucket:
    """Make a limiter that in no minute ever admits more than so many, of a limit in words.

    The words are those of `Rate.parse`. A stretch of time counts with both of its ends, so that
    nobody can object, however they count: `bound` of the length is the limit. What counts is when a
    call is let go here; on its way to a server it may catch up with the one before, so leave some
    room for that: "100 per 61 s".

    It is a `SlidingWindowLog`, which costs 16 bytes for each take of that time. With `burst`, a
    whole number from 1 to the limit less 1, it is a `TokenBucket` of 54 bytes a key: it holds the
    burst, and the rest of the limit comes in evenly. All other options follow by name.

    >>> from limitpal import MockClock, strict
    >>> limiter = strict("100/minute", clock=MockClock())
    >>> sum(limiter.allow_many(["api"] * 200)), limiter.bound(60)
    (100, 100)
    >>> cheap = strict("100/minute", burst=10)
    >>> cheap.capacity, cheap.refill_rate, cheap.bound(60)
    (10, 1.5, 100)
    """
    first, second = _strictly(rate, burst)
    kind = SlidingWindowLog if burst is None else TokenBucket
    return kind(first, second, **options)


@overload
def async_strict(
    rate: str, burst: None = None, **options: Unpack[BucketOptions]
) -> AsyncSlidingWindowLog: ...
@overload
def async_strict(rate: str, burst: float, **options: Unpack[BucketOptions]) -> AsyncTokenBucket: ...
def async_strict(
    rate: str, burst: float | None = None, **options: Any
) -> AsyncSlidingWindowLog | AsyncTokenBucket:
    """Make what `strict` makes, async.

    >>> from limitpal import async_strict
    >>> async_strict("100/minute", burst=10).bound(60)
    100
    """
    first, second = _strictly(rate, burst)
    kind = AsyncSlidingWindowLog if burst is None else AsyncTokenBucket
    return kind(first, second, **options)
