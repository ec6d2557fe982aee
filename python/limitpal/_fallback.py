"""What a caller gets in place of an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from ._awaitable import LAZY, is_awaitable
from ._errors import InvalidConfigError, RetryExhausted
from ._limitpal import _invalid_config, _is_cancellation, _lazy
from ._plain import FromDict

__all__ = ["Fallback"]

#: What says which errors are answered.
On: TypeAlias = type[Exception] | Iterable[type[Exception]] | Callable[[Exception], object]


class _LeftOut:
    def __repr__(self) -> str:
        return "left out"


_LEFT_OUT: Any = _LeftOut()
_EVERY_ERROR: Any = Exception


@dataclass(frozen=True, init=False)
class Fallback(FromDict):
    """What a caller gets in place of an error: the last word on a run, after all else was tried.

    - `value`: this object, the same one each time
    - `func`: what this function makes of the error, in place of a value; with an
      `AsyncResilientExecutor` it may be a coroutine function. What it raises comes out, with the
      error as its `__context__`
    - `on`: which errors are answered: an exception type, several, or a function of the error; by
      default every `Exception`, refusals of ours among them. Of a `RetryExhausted` a type in `on`
      means its `last_error` too

    Never answered: Ctrl-C, cancellation, and what shows a mistake in the program, which a value
    would hide: an `InvalidConfigError`, or a coroutine function given to the sync executor.

    >>> from limitpal import Fallback, ResilientExecutor
    >>> executor = ResilientExecutor(fallback=Fallback([], on=ConnectionError))
    >>> def news():
    ...     raise ConnectionError("down")
    >>> executor.run("news", news)
    []
    """

    value: Any
    func: Callable[[Exception], Any] | None
    on: tuple[type[Exception], ...] | Callable[[Exception], object]

    def __init__(
        self,
        value: Any = _LEFT_OUT,
        *,
        func: Callable[[Exception], Any] | None = None,
        on: On = _EVERY_ERROR,
    ) -> None:
        if (value is _LEFT_OUT) == (func is None):
            raise _invalid_config("value", value, "give a value, or func=, and not both")
        if func is not None and not callable(func):
            raise _invalid_config("func", func, "give a function of the error")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "func", func)
        object.__setattr__(self, "on", _checked(on))

    def covers(self, error: Exception) -> bool:
        """Return whether an error is answered."""
        if not is_answerable(error):
            return False
        on: Any = self.on
        if isinstance(on, tuple):
            types = cast("tuple[type[Exception], ...]", on)
            last_error = error.last_error if isinstance(error, RetryExhausted) else None
            return isinstance(error, types) or isinstance(last_error, types)
        return bool(on(error))

    def __repr__(self) -> str:
        what = f"func={self.func!r}" if self.func is not None else repr(self.value)
        on = "" if self.on == (Exception,) else f", on={_shown(self.on)}"
        return f"Fallback({what}{on})"


def is_answerable(error: BaseException) -> bool:
    """Return whether anything may stand in for an error: not for a cancellation, or a mistake."""
    return (
        isinstance(error, Exception)
        and not isinstance(error, InvalidConfigError)
        and not hasattr(error, "_limitpal_mistake")
        and not _is_cancellation(error)
    )


def answer(fallback: Fallback, error: Exception) -> Any:
    """Return what a sync caller gets."""
    if fallback.func is None:
        return fallback.value
    result = fallback.func(error)
    if is_awaitable(result):
        if hasattr(result, "close"):
            result.close()
        name = getattr(fallback.func, "__qualname__", repr(fallback.func))
        raise TypeError(f"{name} is async, it returned an awaitable; use AsyncResilientExecutor")
    if type(result) in LAZY:
        raise _lazy(result, fallback.func)
    return result


async def answer_async(fallback: Fallback, error: Exception) -> Any:
    """Return what an async caller gets."""
    if fallback.func is None:
        return fallback.value
    result = fallback.func(error)
    if is_awaitable(result):
        return await result
    if type(result) in LAZY:
        raise _lazy(result, fallback.func)
    return result


def _checked(on: Any) -> Any:
    """Return types as a tuple, and a function as it is."""
    advice = "give an exception type such as TimeoutError, several, or a function of the error"
    if isinstance(on, type):
        on = (on,)
    elif callable(on):
        return on
    try:
        types = tuple(on)
    except TypeError:
        raise _invalid_config("on", on, advice) from None
    if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in types):
        raise _invalid_config("on", on, advice)
    return types


def _shown(on: object) -> str:
    if not isinstance(on, tuple):
        return repr(on)
    names = [kind.__qualname__ for kind in cast("tuple[type[Exception], ...]", on)]
    return names[0] if len(names) == 1 else f"({', '.join(names)})"
