"""Executors by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast, overload

from ._errors import UnknownName
from ._executor import AsyncResilientExecutor
from ._limitpal import ResilientExecutor, _invalid_config
from ._names import nearest, no_such
from ._plain import make_at
from ._shown import refuse_to_pickle, with_article

if TYPE_CHECKING:
    from ._clock import Clock
    from ._stats import ExecutorStats

__all__ = ["Registry"]

E = TypeVar("E", bound=ResilientExecutor | AsyncResilientExecutor)
X = TypeVar("X", bound=ResilientExecutor | AsyncResilientExecutor)


class Registry(Mapping[str, E], Generic[E]):
    """Executors by name, for all who call one service to go through one executor.

    It is a mapping to read, of one kind of executors: `ResilientExecutor`, or the `kind` that is
    given. Any number of threads may use it. A name is text; one that is not there is an
    `UnknownName`, which is a `KeyError` too and says which was meant.

    >>> from limitpal import Registry, ResilientExecutor, RetryPolicy
    >>> registry = Registry()
    >>> users = registry.add("users", ResilientExecutor(retry_policy=RetryPolicy()))
    >>> registry["users"] is users
    True
    >>> registry["user"]
    Traceback (most recent call last):
    limitpal._errors.UnknownName: name is 'user'; there is no such executor, perhaps ...
    >>> pages = registry.get_or_create("pages", {"limiter": "10/second"})
    >>> list(registry), registry.stats()["users"].calls
    (['users', 'pages'], 0)
    """

    @overload
    def __init__(self: Registry[ResilientExecutor]) -> None: ...
    @overload
    def __init__(self, kind: type[E]) -> None: ...
    def __init__(self, kind: Any = ResilientExecutor) -> None:
        self._kind: type[E] = _checked_kind(kind)
        # A name has a box, which tells one who put an executor there from who found it. A dict
        # decides who was first by itself, so that there is no lock for a fork or a factory to meet.
        self._boxes: dict[str, tuple[E]] = {}

    @overload
    @classmethod
    def from_dict(
        cls,
        settings: Mapping[str, Mapping[str, Any]],
        *,
        clock: Clock | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> Registry[ResilientExecutor]: ...
    @overload
    @classmethod
    def from_dict(
        cls,
        settings: Mapping[str, Mapping[str, Any]],
        kind: type[X],
        *,
        clock: Clock | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> Registry[X]: ...
    @classmethod
    def from_dict(
        cls,
        settings: Mapping[str, Mapping[str, Any]],
        kind: Any = ResilientExecutor,
        *,
        clock: Clock | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> Registry[Any]:
        """Make a registry of a dict of dicts, each of which makes an executor of its name.

        >>> from limitpal import Registry
        >>> Registry.from_dict({"users": {"limiter": "10/second"}, "pages": {}})
        Registry(users, pages)
        """
        registry: Registry[Any] = cls(kind)
        if not hasattr(settings, "items"):
            raise _invalid_config("registry", settings, "give a dict of executors by name")
        for name, one in settings.items():
            registry.add(name, registry._made(name, one, clock, names))
        return registry

    def add(self, name: str, executor: E) -> E:
        """Add an executor, and return it; a name that is taken is refused."""
        box = (self._checked(executor),)
        if self._boxes.setdefault(_checked_name(name), box) is not box:
            advice = "an executor has this name already; give another, or remove that first"
            raise _invalid_config("name", name, advice)
        return executor

    def get_or_create(
        self,
        name: str,
        make: Callable[[], E] | Mapping[str, Any],
        *,
        clock: Clock | None = None,
        names: Mapping[str, Any] | None = None,
    ) -> E:
        """Return the executor of this name; if there is none, that which `make` makes.

        `make` is a function without arguments, or a dict as `ResilientExecutor.from_dict` takes it.
        The function runs outside of any lock: if several threads ask at once it may run for each of
        them. All get the same executor, that of the first to be done.
        """
        box = self._boxes.get(_checked_name(name))
        if box is None:
            made = make() if callable(make) else self._made(name, make, clock, names)
            box = self._boxes.setdefault(name, (self._checked(made),))
        return box[0]

    def remove(self, name: str) -> E:
        """Take an executor out, and return it; runs that it has begun go on."""
        box = self._boxes.pop(name, None)
        if box is None:
            raise self._unknown(name)
        return box[0]

    def stats(self) -> dict[str, ExecutorStats]:
        """Return what became of the runs of each executor, by its name. It needs no `await`."""
        return {name: executor.stats() for name, executor in self.items()}

    def __getitem__(self, name: str) -> E:
        box = self._boxes.get(name)
        if box is None:
            raise self._unknown(name)
        return box[0]

    def __iter__(self) -> Iterator[str]:
        # Of those that are there now: another thread may add one meanwhile.
        return iter(list(self._boxes))

    def __len__(self) -> int:
        return len(self._boxes)

    def __bool__(self) -> bool:
        return True

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"

    def __reduce__(self) -> NoReturn:
        refuse_to_pickle(self)

    def _unknown(self, name: object) -> UnknownName:
        there = list(self)
        advice = no_such("executor", name, there, there)
        return UnknownName(f"name is {name!r}; {advice}", name, nearest(name, there))

    def _checked(self, executor: object) -> E:
        if not isinstance(executor, self._kind):
            advice = f"give {with_article(self._kind.__name__)}, or make Registry(kind) of another"
            raise _invalid_config("executor", executor, advice)
        return executor

    def _made(
        self,
        name: object,
        settings: Any,
        clock: Clock | None,
        names: Mapping[str, Any] | None,
    ) -> E:
        path = f"registry.{name}"
        return cast("E", make_at(path, self._kind, settings, clock=clock, names=names))


def _checked_kind(kind: object) -> Any:
    known = (ResilientExecutor, AsyncResilientExecutor)
    if inspect.isclass(kind) and issubclass(kind, known):
        return kind
    raise _invalid_config("kind", kind, "give ResilientExecutor or AsyncResilientExecutor")


def _checked_name(name: object) -> str:
    if not isinstance(name, str) or not name:
        raise _invalid_config("name", name, "give a text that is not empty")
    return name
