"""How limiters are shown and named."""

from __future__ import annotations

from typing import NoReturn


def with_article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "AEIOU" else f"a {kind}"


def as_async(limiter: object, core: object) -> str:
    _, _, arguments = repr(core).partition("(")
    return f"{type(limiter).__name__}({arguments}"


def refuse_to_pickle(limiter: object) -> NoReturn:
    kind = type(limiter).__name__
    advice = "make one in each process"
    raise TypeError(f"{with_article(kind)} has live state and is not pickled or copied; {advice}")
