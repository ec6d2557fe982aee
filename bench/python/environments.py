"""The virtual environments of the benchmarks, each made from a file of pinned versions.

As a command, `python environments.py NAME FILE` makes one and prints its interpreter.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
PLACE = BENCH / ".venvs"

#: What `make setup` made: our package with its extension, and the Python that all the others get.
OURS = ROOT / ".venv" / "bin" / "python"


def ours() -> Path:
    """Return the interpreter that has our package; stop unless it has."""
    built = OURS.exists() and any((ROOT / "python" / "limitpal").glob("_limitpal*.so"))
    if not built:
        sys.exit("our extension is not built; run `make setup` first")
    return OURS


def ready(name: str, requirements: Path, base: Path) -> Path:
    """Return the interpreter of an environment, made now unless it is already as it should be."""
    place = PLACE / name
    python = place / "bin" / "python"
    made_from = place / "made-from.json"
    version = answer(base, "import sys; print(sys.version)")
    wanted = json.dumps([requirements.read_text("utf-8"), str(place), version])
    if made_from.exists() and made_from.read_text("utf-8") == wanted:
        return python
    print(f"making the environment {place.relative_to(ROOT)}", file=sys.stderr, flush=True)
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / ".gitignore").write_text("*\n", "utf-8")
    subprocess.run([str(base), "-m", "venv", "--clear", str(place)], check=True)
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    subprocess.run([*pip, "--requirement", str(requirements)], check=True)
    made_from.write_text(wanted, "utf-8")
    return python


def versions(python: Path, names: Sequence[str]) -> dict[str, str]:
    """Return which version of each package an environment has."""
    question = (
        "import importlib.metadata as m, json, sys;"
        "print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))"
    )
    found: dict[str, str] = json.loads(answer(python, question, *names))
    return found


def answer(python: Path, question: str, *arguments: str) -> str:
    """Return what a one-line program prints."""
    command = [str(python), "-Es", "-c", question, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    print(ready(sys.argv[1], Path(sys.argv[2]), Path(sys.executable)))
