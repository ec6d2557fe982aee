"""What one call of each of the hottest paths costs in instructions, held against recorded figures.

`python scripts/instructions.py` compares, as a step of `make test` does. Growth that is meant is
recorded with `--record`; `--json FILE` writes the figures for the page of benchmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from steps import ROOT, Failed, Skipped, call, read

PROJECT = ROOT / "bench" / "instructions"
RECORDED = PROJECT / "recorded.json"
BUILDS = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "bench-instructions"
PROGRAM = BUILDS / "release" / "limitpal-instructions"
# The counts differ by less than one in a thousand between runs: hash seeds are random.
CALLS = 20_000
# By how much a path may grow unnoticed.
GROWTH = 1.10
RECORD = "python scripts/instructions.py --record"
NOTE = (
    "Counted by valgrind's callgrind from the first instruction of a call to its last. The clock "
    "is a mock, since reading the machine's own differs from machine to machine. `recorded` is "
    "what `make test` compares with: it fails when a path grows by more than 10 %."
)


@dataclass(frozen=True)
class Compiler:
    """A Rust compiler: what it is, and what goes before `cargo` to use it."""

    rustc: str
    target: str
    prefix: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns its name as a sentence has it."""
        return f"rustc {self.rustc} for {self.target}"


@dataclass(frozen=True)
class Figures:
    """Instructions per call of each path, and the compiler that made the code."""

    compiler: Compiler
    instructions: dict[str, float]


def check() -> None:
    """Fails if a path has grown by more than a tenth; skips what cannot be compared here."""
    require_tools()
    recorded = load()
    if recorded is None:
        raise Failed(f"no {RECORDED.relative_to(ROOT)}; make it: {RECORD}")
    compare(count(matching(recorded.compiler)), recorded)


def record() -> None:
    """Counts with the compiler in use, and keeps the figures."""
    require_tools()
    figures = count(active())
    show(figures, load())
    kept = {
        "rustc": figures.compiler.rustc,
        "target": figures.compiler.target,
        "instructions": figures.instructions,
    }
    RECORDED.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(f"recorded in {RECORDED.relative_to(ROOT)}")


def write_page(path: Path) -> None:
    """Writes the figures as the page of benchmarks reads them, and fails as `check` does."""
    require_tools()
    recorded = load()
    try:
        compiler = active() if recorded is None else matching(recorded.compiler)
    except Skipped as skip:
        print(f"written without the recorded figures: {skip}")
        compiler, recorded = active(), None
    figures = count(compiler)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = json.dumps(as_page(figures, recorded), indent=2, ensure_ascii=False)
    path.write_text(page + "\n", encoding="utf-8")
    if recorded is None:
        show(figures, None)
    else:
        compare(figures, recorded)


def require_tools() -> None:
    """Skips where there is nothing to build or to count with."""
    if not shutil.which("cargo"):
        raise Skipped("no cargo on the PATH; https://rustup.rs")
    if not shutil.which("valgrind"):
        raise Skipped("no valgrind on the PATH, which counts; Debian, Ubuntu: apt install valgrind")


def active() -> Compiler:
    """The compiler that `cargo` uses by itself."""
    told = dict(line.split(": ", 1) for line in read("rustc", "-vV").splitlines() if ": " in line)
    return Compiler(told["release"], told["host"])


def matching(wanted: Compiler) -> Compiler:
    """The compiler of the recorded figures, if it is here: another makes other code."""
    here = active()
    if here == wanted:
        return here
    if here.target == wanted.target and shutil.which("rustup"):
        names = {line.split()[0] for line in read("rustup", "toolchain", "list").splitlines()}
        if f"{wanted.rustc}-{wanted.target}" in names:
            return Compiler(wanted.rustc, wanted.target, ("rustup", "run", wanted.rustc))
    said = f"recorded are figures of {wanted}, and here is {here}, which makes other code"
    if here.target == wanted.target:
        said += f"; to compare: rustup toolchain install {wanted.rustc}"
    raise Skipped(f"{said}; to record anew: {RECORD}")


def count(compiler: Compiler) -> Figures:
    """Builds the program and counts each of its paths."""
    # Flags of the user's own would make other code too.
    call(
        *(*compiler.prefix, "cargo", "build", "--release", "--quiet"),
        *("--manifest-path", str(PROJECT / "Cargo.toml"), "--target-dir", str(BUILDS)),
        RUSTFLAGS="",
    )
    paths = read(str(PROGRAM)).splitlines()
    return Figures(compiler, {path: count_one(path) for path in paths})


def count_one(path: str) -> float:
    """Counts the instructions of one call of a path."""
    done = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *("--toggle-collect=*::repeat", PROGRAM, path, str(CALLS)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    collected = re.search(r"Collected\s*: (\d+)", done.stderr)
    if done.returncode or collected is None:
        print(done.stderr)
        raise Failed(f'valgrind could not count "{path}"; its own words are above')
    instructions = int(collected[1]) / CALLS
    if instructions < 1:
        raise Failed(f'nothing was counted of "{path}"; is `repeat` still a function of its own?')
    return round(instructions, 1)


def load() -> Figures | None:
    """Reads the recorded figures, if there are any."""
    if not RECORDED.exists():
        return None
    told = json.loads(RECORDED.read_text(encoding="utf-8"))
    return Figures(Compiler(told["rustc"], told["target"]), told["instructions"])


def show(figures: Figures, recorded: Figures | None) -> None:
    """Prints what was counted beside what is recorded."""
    before = recorded.instructions if recorded else {}
    width = max(len(path) for path in figures.instructions)
    print(f"{'instructions per call':<{width}}      now  recorded   ({figures.compiler})")
    for path, now in figures.instructions.items():
        print(f"{path:<{width}} {now:8.1f}  {before.get(path, '-'):>8}")


def compare(figures: Figures, recorded: Figures) -> None:
    """Fails with every path that has grown, and every one that only one of the two has."""
    show(figures, recorded)
    now, before = figures.instructions, recorded.instructions
    complaints = [f"{path}: not recorded" for path in now if path not in before]
    complaints += [f"{path}: recorded, but no longer counted" for path in before if path not in now]
    for path in now.keys() & before.keys():
        change = f"{path}: {now[path]} instructions per call, {before[path]} recorded"
        if now[path] > before[path] * GROWTH:
            percent = 100 * (now[path] / before[path] - 1)
            complaints.append(f"{change}: {percent:.0f} % more")
        elif now[path] * GROWTH < before[path]:
            print(f"{change}: less; record it, so that it stays")
    for complaint in sorted(complaints):
        print(complaint)
    if complaints:
        raise Failed(f"{len(complaints)} of the paths above; if that is meant: {RECORD}")


def as_page(figures: Figures, recorded: Figures | None) -> dict[str, object]:
    """The figures in the form that the page of benchmarks reads."""
    before = recorded.instructions if recorded else {}
    return {
        "suite": "instructions",
        "versions": {
            "rustc": figures.compiler.rustc,
            "valgrind": read("valgrind", "--version").strip().removeprefix("valgrind-"),
        },
        "tables": [
            {
                "title": "Instructions per call",
                "unit": "instructions per call",
                "note": NOTE,
                "rows": [
                    as_row(path, now, before.get(path))
                    for path, now in figures.instructions.items()
                ],
            }
        ],
    }


def as_row(path: str, now: float, before: float | None) -> dict[str, object]:
    """One path's row; its target is the recorded figure, if there is one."""
    if before is None:
        return {"case": path, "values": {"limitpal": now}, "verdict": ""}
    return {
        "case": path,
        "values": {"limitpal": now, "recorded": before},
        "target": {"ours": "limitpal", "peer": "recorded", "at_most": GROWTH},
        "ratio": round(now / before, 3),
        "verdict": "met" if now <= before * GROWTH else "missed",
    }


def main() -> int:
    """Does what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--record", action="store_true", help="keep what is counted now")
    ways.add_argument("--json", type=Path, metavar="FILE", help="write the figures for the page")
    asked = parser.parse_args()
    try:
        if asked.record:
            record()
        elif asked.json:
            write_page(asked.json)
        else:
            check()
    except Skipped as skip:
        print(f"skipped: {skip}")
    except Failed as failure:
        print(f"FAILED: {failure}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
