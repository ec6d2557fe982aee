"""What `CircuitBreaker.call_async` runs: a real coroutine over the core's permits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ._awaitable import COROUTINE, is_awaitable

if TYPE_CHECKING:
    from ._limitpal import CircuitBreaker


async def call_async(
    breaker: CircuitBreaker,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Call a function if the circuit lets it, and await what it returns."""
    permit = breaker._lend()
    try:
        result = func(*args, **kwargs) if kwargs else func(*args)
        if type(result) is COROUTINE or is_awaitable(result):
            result = await result
    except BaseException as error:
        permit.failed(error)
        raise
    permit.succeeded()
    return result
