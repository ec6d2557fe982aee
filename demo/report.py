"""What a person sees: progress while it runs, and the table at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from typing import TextIO

from demo.meter import Meter
from demo.provider import Shift

BAR = 10
LINE_EVERY = 1.0
REDRAW_EVERY = 0.1
EDGES = "into the outage (requests on their way when it begins or ends fall on either side)"


def progress_line(name: str, meter: Meter) -> str:
    """Returns one line on how far a client is, short enough for 80 columns."""
    over = meter.done + meter.failed
    filled = BAR * over // meter.plan.requests
    parts = [
        f"{name:<8} [{'#' * filled:.<{BAR}}] {over:>3}/{meter.plan.requests}{meter.elapsed:5.1f}s",
        f"ok {meter.done}",
        f"sent {meter.sent}",
        f"429 {meter.over_quota}",
        f"5xx {meter.server_errors}",
    ]
    if meter.plan.in_outage(meter.elapsed):
        parts.append("DOWN")
    if meter.breaker_state is not None:
        parts.append(meter.breaker_state)
    return "  ".join(parts)


async def show_progress(name: str, meter: Meter, look: Callable[[], None], out: TextIO) -> None:
    """Shows progress until cancelled: one line redrawn on a terminal, else one line a second."""
    terminal = out.isatty() and os.environ.get("TERM") != "dumb"
    ticks = 0
    try:
        while True:
            look()
            if terminal:
                width = shutil.get_terminal_size().columns - 1
                out.write("\r\x1b[K" + progress_line(name, meter)[:width])
                out.flush()
            elif ticks % round(LINE_EVERY / REDRAW_EVERY) == 0 and ticks:
                print(progress_line(name, meter), file=out, flush=True)
            ticks += 1
            await asyncio.sleep(REDRAW_EVERY)
    finally:
        end = "\r\x1b[K" if terminal else ""
        print(end + progress_line(name, meter), file=out, flush=True)


def table(names: Sequence[str], meters: Sequence[Meter]) -> str:
    """Returns the counts of all clients side by side."""
    rows = [("", *names)]
    for title, cell in ROWS:
        rows.append((title, *(cell(meter) for meter in meters)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:], rule])


def _wait(meter: Meter) -> str:
    if not meter.waits:
        return "no limiter"
    mean = sum(meter.waits) / len(meter.waits)
    return f"{mean:.2f} s mean, {max(meter.waits):.2f} s most"


def _transitions(meter: Meter) -> str:
    return "no breaker" if meter.breaker_state is None else str(len(meter.transitions))


ROWS: tuple[tuple[str, Callable[[Meter], str]], ...] = (
    ("jobs done", lambda meter: f"{meter.done} of {meter.plan.requests}"),
    ("success rate", lambda meter: f"{100 * meter.success_rate:.1f} %"),
    ("requests sent", lambda meter: str(meter.sent)),
    ("429 received", lambda meter: str(meter.over_quota)),
    ("5xx received", lambda meter: str(meter.server_errors)),
    ("no answer", lambda meter: str(meter.unanswered)),
    ("sent into the outage", lambda meter: str(meter.into_outage)),
    ("turned away on our side", lambda meter: str(meter.turned_away)),
    ("wait for quota", _wait),
    ("breaker transitions", _transitions),
    ("time", lambda meter: f"{meter.took:.1f} s"),
)


def transition_lines(meter: Meter) -> list[str]:
    """Returns the breaker's story, one line a transition."""
    return [f"  {seen.at:6.2f} s  {seen.before} -> {seen.after}" for seen in meter.transitions]


def differences(meter: Meter, shift: Shift) -> list[str]:
    """Returns where the client's counts and the provider's own books differ."""
    server_errors = sum(count for status, count in shift.statuses.items() if status >= 500)
    pairs = (
        ("requests", meter.sent, shift.received),
        ("429", meter.over_quota, shift.statuses[429]),
        ("5xx", meter.server_errors, server_errors),
        (EDGES, meter.into_outage, shift.into_outage),
    )
    return [
        f"{title}: counted {ours} here, {theirs} there"
        for title, ours, theirs in pairs
        if ours != theirs
    ]
