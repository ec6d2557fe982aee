"""Which name was meant, and where in a dict something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ._errors import InvalidConfigError
from ._limitpal import Rate, _invalid_config

T = TypeVar("T")


def no_such(what: str, name: object, known: Iterable[str], shown: Iterable[str] = ()) -> str:
    """Say that there is no such name, and which of those known was meant, or which there are."""
    near = nearest(name, known)
    if near is not None:
        return f"there is no such {what}, perhaps {near!r} is meant"
    there = ", ".join(shown)
    return f"there is no such {what}, but {there}" if there else f"there is no such {what}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return which of those known is most like a name, if one is like it."""
    import difflib  # seldom needed, and slow to load

    return next(iter(difflib.get_close_matches(str(name), known, n=1)), None)


def missing(path: str, advice: str) -> InvalidConfigError:
    """Make the error about something that must be given."""
    return InvalidConfigError(f"{path} is missing; {advice}", path, None, advice)


def call_at(path: str, make: Callable[..., T], **arguments: Any) -> T:
    """Call a constructor; what it refuses is refused with the path to it."""
    try:
        return make(**arguments)
    except InvalidConfigError as error:
        where = f"{path}.{error.parameter}"
        raise InvalidConfigError(f"{path}.{error}", where, error.value, error.reason) from None
    except TypeError as error:
        raise InvalidConfigError(f"{path}: {error}", path, arguments, str(error)) from error


def rate_at(path: str, words: Any) -> Rate:
    """Read a limit in words."""
    try:
        return Rate.parse(words)
    except InvalidConfigError as error:
        raise _invalid_config(path, words, str(error.reason)) from None
