"""Objects made of plain dicts, whose parts are dicts of their own."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, cast

from ._kinds import ERRORS, FUNCTIONS, LIMITERS, PARTS, RATES, USUAL
from ._limitpal import (
    AdaptiveConcurrency,
    CircuitBreaker,
    ClientThrottle,
    CompositeLimiter,
    ConcurrencyLimiter,
    KeyedCircuitBreaker,
    KeyedLimiter,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
    _invalid_config,
)
from ._names import call_at, missing, no_such, rate_at
from ._options import BucketOptions

if TYPE_CHECKING:
    from typing_extensions import Self

    from ._clock import Clock

_ERRORS_OF_PYTHON = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


def from_dict(
    cls: type[Any],
    settings: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    names: Mapping[str, Any] | None = None,
) -> Any:
    """Make one of a plain dict: the options by name, parts as dicts of their own.

    - A part that may be of several kinds says which: `{"kind": "token_bucket", …}`.
    - A limit may be in words, "100/minute", and so may a rate.
    - Error classes stand there by their names, Python's own or those in `names`; so do functions.
    - `clock` is that of all parts.

    What is wrong is an `InvalidConfigError` that says where: `executor.retry_policy.jitter`.

    >>> from limitpal import ResilientExecutor
    >>> executor = ResilientExecutor.from_dict({
    ...     "limiter": "100/minute",
    ...     "retry_policy": {"max_attempts": 5, "retry_on": ["TimeoutError"]},
    ... })
    >>> executor.run("api", lambda: "fine")
    'fine'
    """
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", _plain_name(cls)).lower()
    path = name.removeprefix("resilient_")
    return make_at(path, cls, settings, clock=clock, names=names)


def make_at(
    path: str,
    cls: type[Any],
    settings: Mapping[str, Any],
    *,
    clock: Clock | None = None,
    names: Mapping[str, Any] | None = None,
) -> Any:
    """Make one of a plain dict that stands somewhere in another."""
    if names is not None and not _is_mapping(names):
        raise _invalid_config("names", names, "give a dict: what each name stands for")
    maker = _Maker(issubclass(cls, AsyncFromDict), clock, names or {})
    options = _options(settings, path)
    ours = set(map(_plain_name, cls.__mro__))
    kinds = [kind for kinds in PARTS.values() for kind, name in kinds.items() if name in ours]
    if kinds and "kind" in options:
        _check_kind(options.pop("kind"), dict.fromkeys(kinds), path)
    return maker.make(path, cls, options)


class FromDict:
    """A class of Python's that is made of a plain dict too."""

    @classmethod
    def from_dict(
        cls,
        settings: Mapping[str, Any],
        *,
        clock: Clock | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make one of a plain dict: the options by name; see `ResilientExecutor.from_dict`."""
        return cast("Self", from_dict(cls, settings, clock=clock, names=names))


class AsyncFromDict(FromDict):
    """One whose parts are async."""


# Classes of the extension's get as a method what is written in Python.
for _made in (
    AdaptiveConcurrency,
    CircuitBreaker,
    ClientThrottle,
    CompositeLimiter,
    ConcurrencyLimiter,
    KeyedCircuitBreaker,
    KeyedLimiter,
    ResilientExecutor,
    RetryBudget,
    RetryPolicy,
):
    type.__setattr__(_made, "from_dict", classmethod(from_dict))


@dataclass(frozen=True)
class _Maker:
    """Makes objects: of which half, on which clock, and what names stand for."""

    is_async: bool
    clock: Clock | None
    names: Mapping[str, Any]

    def make(self, path: str, cls: Callable[..., Any], options: dict[str, Any]) -> Any:
        make, known, needed = _shape(cls, options, path)
        for name, value in options.items():
            if name not in known:
                advice = no_such("option", name, known, known)
                raise _invalid_config(f"{path}.{name}", value, advice)
        for name in needed:
            if name not in options:
                raise missing(f"{path}.{name}", f"a {_plain_name(cls)} needs it")
        made = {name: self.value(f"{path}.{name}", name, one) for name, one in options.items()}
        if self.clock is not None and "clock" in known:
            made.setdefault("clock", self.clock)
        return call_at(path, make, **made)

    def value(self, path: str, name: str, value: Any) -> Any:
        """Return what an option is given: a part is made, a name looked up."""
        if name == "delays_for" and _is_mapping(value):
            return {
                self.error(path, kind): self.value(f"{path}.{kind}", "delays", one)
                for kind, one in value.items()
            }
        if name in ERRORS:
            if not _are_several(value):
                return self.error(path, value)
            return tuple(self.error(f"{path}[{at}]", error) for at, error in enumerate(value))
        if isinstance(value, str) and name in RATES:
            return rate_at(path, value)
        if isinstance(value, str) and name in FUNCTIONS:
            return self.meant(path, value, {})
        return self.part(path, name, value) if name in PARTS else value

    def part(self, path: str, name: str, value: Any) -> Any:
        """Make a part of a dict, or of words; an object is one already."""
        kinds = PARTS[name]
        if _is_mapping(value):
            options = _options(value, path)
            kind = _check_kind(options.pop("kind", USUAL.get(name)), kinds, path)
            return self.make(path, self.named(kinds[kind]), options)
        if isinstance(value, str) and kinds is LIMITERS:
            rate_at(path, value)  # so that what is wrong with it is said of it
            return self.make(path, self.named("TokenBucket"), {"rate": value})
        if not _are_several(value) or name == "delays":
            return value
        parts = [self.part(f"{path}[{at}]", name, one) for at, one in enumerate(value)]
        if name != "limiter":
            return parts
        if not parts:
            raise _invalid_config(path, value, "give at least one limiter")
        return self.make(path, self.named("CompositeLimiter"), {"limiters": parts})

    def named(self, name: str) -> Callable[..., Any]:
        """Return a class by its name, or its async twin if it has one."""
        classes = vars(importlib.import_module("limitpal"))
        twin = "async_strict" if name == "strict" else f"Async{name}"
        made: Callable[..., Any] = classes[twin if self.is_async and twin in classes else name]
        return made

    def error(self, path: str, value: Any) -> Any:
        """Return an error class by its name."""
        return self.meant(path, value, _ERRORS_OF_PYTHON) if isinstance(value, str) else value

    def meant(self, path: str, name: str, known: Mapping[str, Any]) -> Any:
        for there in (self.names, known):
            if name in there:
                return there[name]
        advice = no_such("name", name, [*self.names, *known], self.names)
        raise _invalid_config(path, name, f"{advice}; names={{…}} says what others stand for")


def _plain_name(cls: Any) -> str:
    return str(cls.__name__).removeprefix("Async")


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _are_several(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, (list, tuple))


def _options(settings: object, path: str) -> dict[str, Any]:
    if not _is_mapping(settings):
        raise _invalid_config(path, settings, "give a dict of options by name")
    options = dict(settings)
    for name in options:
        if not isinstance(name, str):
            raise _invalid_config(path, name, "the name of an option is text")
    return options


def _check_kind(kind: Any, kinds: Mapping[str, Any], path: str) -> str:
    """Return which kind a part is of; the only one need not be named."""
    if kind is None:
        if len(kinds) == 1:
            return next(iter(kinds))
        raise missing(f"{path}.kind", f"give one of {', '.join(kinds)}")
    if not isinstance(kind, str) or kind not in kinds:
        raise _invalid_config(f"{path}.kind", kind, no_such("kind", kind, kinds, kinds))
    return kind


def _shape(
    cls: Callable[..., Any], options: dict[str, Any], path: str
) -> tuple[Callable[..., Any], list[str], list[str]]:
    """Return what makes one of these options, which options that knows, and which it needs."""
    known, needed = parameters(cls)
    if "rate" not in options or "rate" in known:
        return cls, known, needed
    in_words = getattr(cls, "per", None)
    if callable(in_words):
        first, _ = parameters(in_words)
        return in_words, [*first, *(name for name in known if name not in needed)], ["rate"]
    if {"limit", "per"} <= set(known):
        rate = rate_at(f"{path}.rate", options.pop("rate"))
        make = functools.partial(cls, limit=rate.count, per=rate.per)
        return make, [name for name in known if name not in needed], []
    return cls, known, needed


def parameters(make: Callable[..., Any]) -> tuple[list[str], list[str]]:
    each = inspect.signature(make).parameters.values()
    known = [one.name for one in each if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    needed = [one.name for one in each if one.name in known and one.default is one.empty]
    if any(one.kind is one.VAR_KEYWORD for one in each):
        # Those of the class below, or of what `strict` makes.
        base: Any = getattr(make, "__base__", None)
        more = BucketOptions.__optional_keys__ if base is None else parameters(base)[0]
        known += [name for name in sorted(more) if name not in known]
    return known, needed
