"""A permit for one call: what `call_async`, `@breaker` and `with breaker:` do with it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ._awaitable import COROUTINE, LAZY, is_awaitable
from ._limitpal import _lazy

if TYPE_CHECKING:
    from ._bulkhead import Bulkhead
    from ._limitpal import CircuitBreaker, ClientThrottle, _LentPermit

# The permits of the `with breaker:` that the present task is in, the innermost last.
_held: ContextVar[tuple[_LentPermit, ...]] = ContextVar("limitpal_held", default=())


async def call_async(
    lender: ClientThrottle,
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


async def call_guarded(
    breaker: CircuitBreaker,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None,
) -> Any:
    """Call a function if the circuit lets it, await what it returns, and report how it went."""
    lent = breaker._lend()
    try:
        result = func(*args, **kwargs) if kwargs else func(*args)
        if type(result) is COROUTINE or is_awaitable(result):
            result = await result
    except BaseException as error:
        lent.failed(error)
        raise
    if type(result) in LAZY:
        raise _lazy(result, func)
    lent.returned(result)
    return result


def guard(breaker: CircuitBreaker | Bulkhead, func: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function like `func`, each call of which goes through the breaker or bulkhead."""
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        refuse_generator(func)
    if inspect.iscoroutinefunction(func):

        @functools.wraps(func)
        async def guarded_async(*args: Any, **kwargs: Any) -> Any:
            return await breaker.call_async(func, *args, **kwargs)

        return guarded_async

    @functools.wraps(func)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return breaker.call(func, *args, **kwargs)

    return guarded


def refuse_generator(func: Callable[..., Any]) -> None:
    """Refuse a function whose body runs only as somebody iterates."""
    raise TypeError(
        f"{func.__qualname__} is a generator function, its body runs as it is iterated; put the "
        "loop over it into `with breaker:`"
    )


def enter(breaker: CircuitBreaker) -> None:
    """Begin a `with breaker:`."""
    _held.set((*_held.get(), breaker._lend()))


def leave(breaker: CircuitBreaker, error: BaseException | None) -> None:
    """End the innermost `with breaker:` of this breaker."""
    held = _held.get()
    for place in reversed(range(len(held))):
        lent = held[place]
        if lent.breaker is breaker:
            _held.set(held[:place] + held[place + 1 :])
            if error is None:
                lent.succeeded()
            else:
                lent.failed(error)
            return
    # It began in another context, as a fixture does, where its permit has gone back.
    breaker._hear(error)


async def enter_async(breaker: CircuitBreaker) -> CircuitBreaker:
    """Begin an `async with breaker:`."""
    enter(breaker)
    return breaker


async def leave_async(breaker: CircuitBreaker, error: BaseException | None) -> None:
    """End the innermost `async with breaker:` of this breaker."""
    leave(breaker, error)
