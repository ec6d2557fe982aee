"""What `call_async` runs: a real coroutine over what the core lends for one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._awaitable import COROUTINE, is_awaitable

if TYPE_CHECKING:
    from ._limitpal import CircuitBreaker, ClientThrottle


async def call_async(
    lender: CircuitBreaker | ClientThrottle,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Call a function if it may go, await what it returns, and report how it went."""
    lent = lender._lend()
    try:
        result = func(*args, **kwargs) if kwargs else func(*args)
        if type(result) is COROUTINE or is_awaitable(result):
            result = await result
    except BaseException as error:
        lent.failed(error)
        raise
    lent.succeeded()
    return result
