"""The bare calls that everything is measured in, and a retry written by hand."""

from __future__ import annotations

from turns.loop import known_keys
from turns.statement import Statement, statement


def f(key: str) -> None:
    """Do nothing: the unit of measure."""


async def awaited(key: str) -> None:
    """Do nothing, as a coroutine."""


def call() -> Statement:
    """Call a function of one argument."""
    return statement("f(key)", f=f)


def answer_many(count: int) -> Statement:
    """Answer each text of a list with True or False."""
    known = known_keys(count)
    lists = [known[start : start + 1_000] for start in range(0, count, 1_000)]
    names = {"map": map, "isascii": str.isascii, "list": list}
    return Statement("list(map(isascii, key))", names, each=lists, decisions=1_000)


def await_call() -> Statement:
    """Await a coroutine function of one argument."""
    return statement("await f(key)", f=awaited)


def retry() -> Statement:
    """Try three times, as one writes it without a library."""
    text = """\
for attempt in range(3):
    try:
        f(key)
        break
    except Exception:
        if attempt == 2:
            raise"""
    return statement(text, f=f)
