"""Whether what a function returned is to be awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

#: What nearly every awaitable is; asked for first. Checkers would read unknown types into it.
COROUTINE: Any = CoroutineType


def is_awaitable(result: object) -> bool:
    """Return whether `await` would take a value; its class alone, such as `Future`, is none."""
    kind = type(result)
    return hasattr(kind, "__await__") or (kind is GeneratorType and isawaitable(result))


@contextmanager
def _opened() -> Generator[None]:
    yield


@asynccontextmanager
async def _async_opened() -> AsyncGenerator[None]:
    yield


#: What a function returns whose body runs only later: a generator, or what contextlib makes of it.
#: The types of the latter have no public names.
LAZY: frozenset[type] = frozenset(
    (GeneratorType, AsyncGeneratorType, type(_opened()), type(_async_opened()))
)
