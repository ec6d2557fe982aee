"""`make matrix`: one abi3 wheel, and the Python tests on every CPython that this machine offers."""

import functools
import shutil
import sys
from pathlib import Path

from interpreters import OLDEST, Interpreter, interpreters
from steps import PYTHON, ROOT, Failed, Skipped, Steps, call

WHEELS = ROOT / ".cache" / "wheels"
VENVS = ROOT / ".venvs"


def main() -> int:
    """Builds the wheel once and tests it on each Python; returns the exit status."""
    matrix = Steps("matrix")
    matrix.run("wheel", build_wheel)
    found = interpreters()
    for interpreter in found:
        name = f"CPython {interpreter.patch}{'t' if interpreter.free_threaded else ''}"
        matrix.run(name, functools.partial(test_on, interpreter))
    names = ", ".join(one.name for one in found)
    return matrix.close(f"CPython {OLDEST[0]}.{OLDEST[1]} or later on this machine: {names}")


def build_wheel() -> None:
    """Builds the one wheel that serves every version."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    call(PYTHON, "-m", "maturin", "build", "--release", "--out", str(WHEELS))


def test_on(interpreter: Interpreter) -> None:
    """Installs the wheel into a virtual environment of that Python and runs the whole suite."""
    if interpreter.obstacle:
        raise Skipped(interpreter.obstacle)
    wheels = list(WHEELS.glob("*-abi3-*.whl"))
    if len(wheels) != 1:
        raise Failed(f"{len(wheels)} abi3 wheels in {WHEELS.relative_to(ROOT)}; there should be 1")
    venv = VENVS / interpreter.name
    python = str(venv / "bin" / "python")
    if not is_made_by(venv, interpreter):
        call(interpreter.executable, "-m", "venv", "--clear", str(venv))
    pip = (python, "-m", "pip", "install", "--quiet", "--constraint", "scripts/constraints.txt")
    call(*pip, "pip")
    call(*pip, "--group", "test", "--group", "demo")
    call(
        python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", str(wheels[0])
    )
    call(python, "-m", "pytest")
    call(python, "python/tests/compat/run.py")


def is_made_by(venv: Path, interpreter: Interpreter) -> bool:
    """Whether the virtual environment is there and of exactly that Python."""
    settings = venv / "pyvenv.cfg"
    return settings.exists() and f"version = {interpreter.patch}\n" in settings.read_text("utf-8")


if __name__ == "__main__":
    sys.exit(main())
