"""Draws what each algorithm admits of the same traffic: `python scripts/pictures.py`.

The traffic is asked of our own limiters on a mock clock, in an environment that has them; it is
drawn in one that has matplotlib, to which the answers are handed as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "explanation" / "algorithms"

#: All limiters here let 2 a second through in the long run, 20 at once.
LIMIT, WINDOW = 20, 10.0
END = 60.0

ADMITTED, REFUSED, INK = "#0b6e4f", "#c8553d", "#24292f"


def traffic() -> Iterator[float]:
    """Yield when calls come: one a second, a burst, quiet, too many for a while, one a second."""
    yield from (float(second) for second in range(15))
    yield from (15.0 + call / 20 for call in range(30))
    yield from (30.0 + call / 6 for call in range(90))
    yield from (float(second) for second in range(45, 60))


def answers() -> dict[str, list[tuple[float, bool]]]:
    """Return of each algorithm when it admitted or refused."""
    from limitpal import (
        FixedWindow,
        LeakyBucket,
        MockClock,
        SlidingWindowCounter,
        SlidingWindowLog,
        TokenBucket,
        WarmUpBucket,
    )

    def asked(make: Callable[[MockClock], Any]) -> list[tuple[float, bool]]:
        clock = MockClock()
        limiter, told = make(clock), []
        for at in traffic():
            clock.set_time(at)
            told.append((at, bool(limiter.allow("key"))))
        return told

    def waited() -> list[tuple[float, bool]]:
        clock = MockClock()
        limiter, told = LeakyBucket(LIMIT, LIMIT / WINDOW, clock=clock), []
        for at in traffic():
            clock.set_time(max(at, clock.now()))
            limiter.acquire("key")  # which moves the clock to its turn
            told.append((clock.now(), True))
        return [(at, went) for at, went in told if at <= END]

    return {
        "token-bucket": asked(lambda clock: TokenBucket(LIMIT, LIMIT / WINDOW, clock=clock)),
        "warm-up-bucket": asked(
            lambda clock: WarmUpBucket(LIMIT, LIMIT / WINDOW, warm_up=WINDOW, clock=clock)
        ),
        "leaky-bucket-allow": asked(lambda clock: LeakyBucket(LIMIT, LIMIT / WINDOW, clock=clock)),
        "leaky-bucket-acquire": waited(),
        "fixed-window": asked(lambda clock: FixedWindow(LIMIT, WINDOW, clock=clock)),
        "sliding-window-counter": asked(
            lambda clock: SlidingWindowCounter(LIMIT, WINDOW, clock=clock)
        ),
        "sliding-window-log": asked(lambda clock: SlidingWindowLog(LIMIT, WINDOW, clock=clock)),
    }


def draw(told: dict[str, list[tuple[float, bool]]]) -> None:
    """Write one picture for each algorithm."""
    import matplotlib as mpl

    mpl.rcParams.update({"svg.hashsalt": "limitpal", "svg.fonttype": "none", "font.size": 9})
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for name, calls in told.items():
        picture(FOLDER / f"{name}.svg", calls)


def picture(file: Path, calls: list[tuple[float, bool]]) -> None:
    """Write one: each call as a stroke, and how many were admitted in the window before."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 2.6), layout="constrained")
    axes: Any = figure.subplots()
    went = [at for at, admitted in calls if admitted]
    ticks = [tick / 10 for tick in range(int(END * 10) + 1)]
    axes.plot(ticks, [trailing(went, at) for at in ticks], color=ADMITTED)
    axes.axhline(LIMIT, color=INK, linewidth=0.8, linestyle=":")
    refused = [at for at, admitted in calls if not admitted]
    lines = {"linelengths": 3, "linewidths": 0.8}
    axes.eventplot([went], lineoffsets=-3, colors=ADMITTED, **lines)
    axes.eventplot([refused], lineoffsets=-7, colors=REFUSED, **lines)
    axes.set(xlim=(0, END), ylim=(-9, 2.1 * LIMIT), xlabel="seconds", yticks=(0, 10, 20, 30, 40))
    axes.text(0.4, 2 * LIMIT - 2, f"admitted in the last {WINDOW:.0f} s", color=ADMITTED)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def trailing(went: list[float], at: float) -> int:
    """Return how many went in the window that ends now."""
    # In nanoseconds, as the limiters count: a float's last digits would let one in or out.
    now, start = round(at * 1e9), round((at - WINDOW) * 1e9)
    return sum(start < round(one * 1e9) <= now for one in went)


def main() -> None:
    """Ask the limiters; draw in the environment made for plots."""
    if "--draw" in sys.argv:
        draw(json.load(sys.stdin))
        return
    page = ROOT / "bench" / "page" / "plots.txt"
    maker = ROOT / "bench" / "python" / "environments.py"
    made = [sys.executable, str(maker), "plots", str(page)]
    python = subprocess.run(made, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    asked = answers()
    for name, calls in asked.items():
        went = [at for at, admitted in calls if admitted]
        most = max(trailing(went, at) for at in went)
        print(f"{name}: {len(went)} admitted, at most {most} in {WINDOW:.0f} s")
    told = json.dumps(asked)
    subprocess.run([python, str(Path(__file__)), "--draw"], check=True, input=told, text=True)
    print(f"{len(list(FOLDER.glob('*.svg')))} pictures in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
