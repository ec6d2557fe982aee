"""Which CPythons this machine offers: one of each minor version from 3.10 up."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 10)
QUESTION = """
import importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    "cpython": platform.python_implementation() == "CPython",
    "version": sys.version_info[:3],
    "executable": sys.executable,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "makes_venvs": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""


@dataclass(frozen=True, order=True)
class Interpreter:
    """A CPython, and why the suite cannot run on it, if it cannot."""

    minor: tuple[int, int]
    free_threaded: bool
    usable: bool
    version: tuple[int, int, int]
    executable: str

    @property
    def name(self) -> str:
        """The version as people write it: `3.14` or `3.14t`."""
        return f"{self.minor[0]}.{self.minor[1]}{'t' if self.free_threaded else ''}"

    @property
    def patch(self) -> str:
        """The whole version."""
        return ".".join(str(number) for number in self.version)

    @property
    def obstacle(self) -> str:
        """Why the suite cannot run on it; empty if it can."""
        if self.free_threaded:
            return "free-threaded, and an abi3 wheel does not load there"
        return "" if self.usable else "it lacks the modules venv and ensurepip"


def interpreters() -> list[Interpreter]:
    """One CPython of each minor version, oldest first: a usable one if possible, the newest."""
    best: dict[str, Interpreter] = {}
    for path in sorted({candidate.resolve() for candidate in candidates()}):
        found = ask(path)
        if found and found.minor >= OLDEST:
            best[found.name] = max(found, best.get(found.name, found))
    return sorted(best.values())


def candidates() -> Iterator[Path]:
    """Every file that may be a Python: on the PATH, and where pyenv and uv keep theirs."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        # pyenv's shims stand for the versions that are looked up below.
        if folder and Path(folder).is_dir() and Path(folder).name != "shims":
            for path in Path(folder).glob("python3*"):
                if re.fullmatch(r"python3(\.\d+t?)?", path.name):
                    yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from pyenv.glob("versions/*/bin/python3")
    yield from Path.home().glob(".local/share/uv/python/*/bin/python3")


def ask(path: Path) -> Interpreter | None:
    """What the file at `path` says of itself; None if it is no working CPython."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", QUESTION], capture_output=True, text=True, timeout=20
        )
        told = json.loads(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    if not told["cpython"]:
        return None
    version = tuple(told["version"])
    return Interpreter(
        minor=version[:2],
        free_threaded=told["free_threaded"],
        usable=told["makes_venvs"],
        version=version,
        executable=told["executable"],
    )


if __name__ == "__main__":
    for one in interpreters():
        print(one.name, one.patch, one.executable, one.obstacle)
