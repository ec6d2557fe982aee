"""Statement: what a loop does for each key, with the names that it uses bound beforehand."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_LOOP = """\
{prefix}def loop(part, timer{names}):
    begin = timer()
    for key in part:
{body}
    return timer() - begin
"""


@dataclass(frozen=True)
class Statement:
    """A piece of a loop, as text: a function around it would cost a call of its own.

    `key` is the loop's variable; `each` is what to loop over, if it is not text keys; `decisions`
    is how many decisions one pass of the loop takes.
    """

    text: str
    names: Mapping[str, object] = field(default_factory=dict)
    each: Sequence[object] | None = None
    decisions: int = 1

    @property
    def awaits(self) -> bool:
        """Whether the loop belongs into a coroutine."""
        return "await " in self.text or "async " in self.text

    def loop(self) -> Callable[[Iterable[object], Callable[[], float]], Any]:
        """Return `loop(part, timer)`: the seconds that the statement takes for all of `part`."""
        source = _LOOP.format(
            prefix="async " if self.awaits else "",
            names="".join(f", {name}={name}" for name in self.names),
            body=textwrap.indent(self.text, " " * 8),
        )
        space = dict(self.names)
        exec(compile(source, "<a timed loop>", "exec"), space)
        loop: Any = space["loop"]
        return loop  # type: ignore[no-any-return]


def statement(text: str, /, **names: object) -> Statement:
    """Return the statement with its names."""
    return Statement(text, names)
