"""Whether what a function returned is to be awaited."""

from __future__ import annotations

from inspect import isawaitable
from types import GeneratorType


def is_awaitable(result: object) -> bool:
    """Return whether `await` would take a value; its class alone, such as `Future`, is none."""
    kind = type(result)
    return hasattr(kind, "__await__") or (kind is GeneratorType and isawaitable(result))
