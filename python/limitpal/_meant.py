"""Which keyword was meant, where a constructor was given one that it does not have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from ._kinds import PARTS
from ._names import nearest
from ._plain import parameters

# What is called with options by name.
_METHODS = ("__init__", "reconfigure", "configure")
# Whose options are given by people: not those of events, nor of what we count.
_MADE = {"ResilientExecutor", "Registry", "MockClock"}.union(
    *(kinds.values() for kinds in PARTS.values())
)


def hint(there: Iterable[object]) -> None:
    """Have the classes that users make say which keyword was meant, as Python does from 3.13 on.

    What is right is not looked at: only a `TypeError` is.
    """
    for cls in there:
        if not isinstance(cls, type) or cls.__name__.removeprefix("Async") not in _MADE:
            continue
        for name in _METHODS:
            method = vars(cls).get(name)
            if method is not None:
                # Classes of the extension's are changed like this only.
                type.__setattr__(cls, name, _hinting(cls, method))


def _hinting(cls: type[Any], method: Callable[..., Any]) -> Callable[..., Any]:
    is_constructor = method.__name__ == "__init__"

    @functools.wraps(method)
    def hinting(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except TypeError as error:
            message = meant(cls if is_constructor else method, error, kwargs)
            if message is None:
                raise
            raise TypeError(message) from None

    if is_constructor and not inspect.isfunction(method):
        # Of the extension's it is the class that knows the parameters.
        of_class = inspect.signature(cls)
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        signature = of_class.replace(parameters=[own, *of_class.parameters.values()])
        vars(hinting).update(__signature__=signature, __objclass__=cls)
    return hinting


def unexpected(cls: type[Any], given: Iterable[str]) -> TypeError:
    """Make the error of a constructor of the extension's that was given keywords it has not."""
    name = next(iter(given))
    error = TypeError(f"{cls.__name__}.__new__() got an unexpected keyword argument {name!r}")
    return TypeError(meant(cls, error, given) or str(error))


def meant(make: Callable[..., Any], error: TypeError, given: Iterable[str]) -> str | None:
    """Return the error's text with what was meant, if it is about a keyword that is not there."""
    text = str(error)
    is_about_keywords = "unexpected keyword argument" in text or "required positional" in text
    if not is_about_keywords or "id you mean" in text:
        return None
    known = [name for name in parameters(make)[0] if name != "self"]
    for name in given:
        near = None if name in known else nearest(name, known)
        if near is not None:
            there = "" if repr(name) in text else f"There is no {name!r}. "
            return f"{text}. {there}Did you mean {near!r}?"
    return None
