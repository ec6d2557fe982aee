"""How long a file and a function may be; clippy measures Rust's functions, this the rest."""

import ast
from collections.abc import Iterator
from pathlib import Path

from steps import ROOT, Failed

FILE_LIMIT = 400
FUNCTION_LIMIT = 60
PLACES = ("crates", "python", "examples", "demo", "scripts", "bench")
NOT_OURS = {"target", ".venvs"}


def check() -> None:
    """Fails with the name of every file and every Python function that is too long."""
    complaints: list[str] = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        lines = len(text.splitlines())
        if lines > FILE_LIMIT:
            complaints.append(f"{name} has {lines} lines; split it below {FILE_LIMIT}")
        if path.suffix == ".py":
            complaints += [f"{name}:{complaint}" for complaint in long_functions(text)]
    for complaint in complaints:
        print(complaint)
    if complaints:
        raise Failed(f"{len(complaints)} too long")


def sources() -> Iterator[Path]:
    """Every source file of ours, builds and caches left out.

    A stub is as long as the one module that it describes; it cannot be split.
    """
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*")):
            if path.suffix in {".py", ".rs"} and not NOT_OURS.intersection(path.parts):
                yield path


def long_functions(text: str) -> Iterator[str]:
    """The functions of a Python file that are too long."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LIMIT:
                said = f"{node.name} has {lines} lines; split it below {FUNCTION_LIMIT}"
                yield f"{node.lineno}: {said}"
