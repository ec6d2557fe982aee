"""What limiters may be given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypedDict

if TYPE_CHECKING:
    from ._clock import Clock
    from ._limitpal import Rate

# What becomes of a newcomer where all of `max_buckets` are in use.
Evict = Literal["nearest_new", "refuse_new", "inherit"]
# What becomes of what a key has when limits change.
Carry: TypeAlias = Literal["proportional", "as_is", "reset"]
# A limit in words, a `Rate`, or a capacity and a rate (for windows a limit and seconds).
Quota: TypeAlias = "str | Rate | tuple[float, float | Rate]"


class BucketOptions(TypedDict, total=False):
    """The options of a bucket besides how much it holds and how fast."""

    clock: Clock | None
    ttl: float | None
    max_buckets: int | None
    cleanup_interval: int
    per_key: bool
    key_by: Callable[[str], str | int] | None
    evict: Evict
    quota: Callable[[str], Quota | None] | None


class TokenOptions(BucketOptions, total=False):
    """The options of a token bucket besides how much it holds and how fast."""

    initial: float | None
    debt: float


class AsyncPart(Protocol):
    """What can stand in for an async limiter; `timeout` is passed only if there is one."""

    def allow(self, key: str, /) -> Awaitable[bool]: ...
    def acquire(self, key: str, /, *, timeout: float = ...) -> Awaitable[object]: ...
