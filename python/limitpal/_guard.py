"""A function each of whose calls goes through an executor: `@executor.guard(key)`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from ._limitpal import ResilientExecutor, _keys

if TYPE_CHECKING:
    from ._executor import AsyncResilientExecutor

P = ParamSpec("P")
T = TypeVar("T")


class SyncGuard(Protocol):
    """The decorator of `ResilientExecutor.guard`.

    To type checkers its function is a plain one, since only of these they know how methods, class
    methods and static methods are bound. They do not see its `.executor`.
    """

    def __call__(self, func: Callable[P, T], /) -> Callable[P, T]: ...


class AsyncGuard(Protocol):
    """The decorator of `AsyncResilientExecutor.guard`; see `SyncGuard`."""

    @overload
    def __call__(
        self, func: Callable[P, Awaitable[T]], /
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __call__(self, func: Callable[P, T], /) -> Callable[P, Coroutine[Any, Any, T]]: ...


# What `run` calls its own parameters.
_OF_RUN = frozenset(("self", "key", "func"))
_METHODS: Any = (classmethod, staticmethod)
_Key = str | int | Callable[..., str | int]


def guard(self: ResilientExecutor, key: _Key) -> SyncGuard:
    """Return a decorator: each call of the function is a run, for `key`.

    `key` is text or a number, or a function of the call's arguments that returns one; a method's
    `self` is among them. The function keeps its name, its doc and its signature, and has the
    executor as `.executor`; without it, it is `.__wrapped__`. Methods, class methods and static
    methods are guarded alike.

    Coroutine functions are refused, which `AsyncResilientExecutor` guards, and generator functions,
    whose bodies run only as somebody iterates.

    >>> from limitpal import ResilientExecutor, RetryPolicy
    >>> executor = ResilientExecutor(retry_policy=RetryPolicy())
    >>> @executor.guard(key=lambda user, page: f"user:{user}")
    ... def fetch(user, page):
    ...     return f"page {page} of {user}"
    >>> fetch("ann", page=2), fetch.executor is executor
    ('page 2 of ann', True)
    """
    return cast("SyncGuard", _decorator(self.run, self, key, is_async=False))


# A class of the extension's gets as a method what is written in Python.
type.__setattr__(ResilientExecutor, "guard", guard)


def guard_async(executor: AsyncResilientExecutor, key: _Key) -> AsyncGuard:
    """Return a decorator: each call is an awaited run, for `key`."""
    return cast("AsyncGuard", _decorator(executor.run, executor, key, is_async=True))


def _decorator(run: Callable[..., Any], executor: object, key: _Key, *, is_async: bool) -> Any:
    _check_key(key)

    def decorate(func: Any) -> Any:
        # Around these the function is none yet; the guard goes inside.
        if isinstance(func, _METHODS):
            return cast("Any", type(func))(decorate(func.__func__))
        _check_function(func, is_async=is_async)
        of_call = _key_of_call(key, func)
        guarded = (_async_runner if is_async else _runner)(run, of_call, func)
        functools.update_wrapper(guarded, func)
        guarded.executor = executor
        return guarded

    return decorate


def _runner(run: Callable[..., Any], of_call: _Key, func: Callable[..., Any]) -> Any:
    if not callable(of_call):

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if kwargs and not _OF_RUN.isdisjoint(kwargs):
                return _bound(run, of_call, func, args, kwargs)
            return run(of_call, func, *args, **kwargs)

    else:

        def guarded(*args: Any, **kwargs: Any) -> Any:
            key = of_call(*args, **kwargs)
            if kwargs and not _OF_RUN.isdisjoint(kwargs):
                return _bound(run, key, func, args, kwargs)
            return run(key, func, *args, **kwargs)

    return guarded


def _async_runner(run: Callable[..., Any], of_call: _Key, func: Callable[..., Any]) -> Any:
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        key = of_call(*args, **kwargs) if callable(of_call) else of_call
        if kwargs and not _OF_RUN.isdisjoint(kwargs):
            return await _bound(run, key, func, args, kwargs)
        return await run(key, func, *args, **kwargs)

    return guarded


def _bound(
    run: Callable[..., Any],
    key: str | int,
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Run a function that has an argument of a name of `run`'s: by its place, or else by hand."""
    try:
        bound = inspect.signature(func).bind(*args, **kwargs)
    except (TypeError, ValueError, NameError):  # the call says better what is wrong with it
        return run(key, functools.partial(func, *args, **kwargs))
    if _OF_RUN.isdisjoint(bound.kwargs):
        return run(key, func, *bound.args, **bound.kwargs)
    return run(key, functools.partial(func, *args, **kwargs))


def _check_key(key: Any) -> None:
    if not callable(key):
        _keys(cast("list[str]", [key]))  # raises a TypeError that shows it
    elif _is_coroutine_function(key):
        raise TypeError(f"the key function {_name(key)} is async; give a plain one")


def _check_function(func: Any, *, is_async: bool) -> None:
    """Refuse what cannot be guarded where it is defined, rather than when it is first called."""
    if not callable(func):
        advice = "decorate a function: @executor.guard(key), below any other decorator"
        raise TypeError(f"{func!r} is not a function; {advice}")
    name = _name(func)
    if _has(func, inspect.isgeneratorfunction) or _has(func, inspect.isasyncgenfunction):
        advice = "guard a function that uses it up, as list() does"
        raise TypeError(
            f"{name} is a generator function, its body runs as it is iterated; {advice}"
        )
    if not is_async and _is_coroutine_function(func):
        raise TypeError(f"{name} is a coroutine function; use AsyncResilientExecutor.guard")


def _key_of_call(key: _Key, func: Callable[..., Any]) -> _Key:
    """Return the key, or the function for it once it is known to take the same arguments."""
    if not callable(key):
        return key
    try:
        taken, given = inspect.signature(key), inspect.signature(func).parameters.values()
    except (TypeError, ValueError, NameError):  # a builtin has none; a name may come later
        return key
    try:
        for args, kwargs in _calls(given):
            taken.bind(*args, **kwargs)
    except TypeError as problem:
        shape = f"{_name(func)} has other parameters than its key function, {taken}"
        advice = "give that the same ones, with the same defaults"
        raise TypeError(f"{shape}: {problem}; {advice}") from None
    return key


def _calls(given: Any) -> list[tuple[list[None], dict[str, None]]]:
    """Return the shortest and the longest call that a function takes."""
    calls: list[tuple[list[None], dict[str, None]]] = []
    for longest in (False, True):
        args: list[None] = []
        kwargs: dict[str, None] = {}
        for one in given:
            if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
                continue
            if longest or one.default is one.empty:
                if one.kind is one.KEYWORD_ONLY:
                    kwargs[one.name] = None
                else:
                    args.append(None)
        calls.append((args, kwargs))
    return calls


def _is_coroutine_function(func: object) -> bool:
    return _has(func, inspect.iscoroutinefunction)


def _has(func: object, kind: Callable[[object], bool]) -> bool:
    """Say whether a function is of a kind, or the `__call__` of an object that is called."""
    return kind(func) or kind(getattr(func, "__call__", None))  # noqa: B004 # its kind is asked for


def _name(func: object) -> str:
    return getattr(func, "__qualname__", None) or repr(func)
