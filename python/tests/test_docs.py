"""The documentation's programs run: README, docs, and the examples in docstrings."""

import ast
import asyncio
import doctest
import importlib
import inspect
import pkgutil
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest

import limitpal

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})[ \t]*(?P<word>\w*)[^\n]*\n"
    r"(?P<body>.*?)^(?P=indent)(?P=mark)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


@dataclass(frozen=True)
class Block:
    """A program in the documentation: where it stands and what it says."""

    place: str
    line: int
    word: str
    source: str

    def __str__(self):
        return f"{self.place}:{self.line}"


def blocks_of(text, place):
    """Returns the Python blocks of a Markdown text."""
    return [
        Block(
            place,
            text.count("\n", 0, match.start()) + 2,
            match["word"],
            textwrap.dedent(match["body"]),
        )
        for match in FENCE.finditer(text)
        if match["word"] in {"python", "py", "pycon", "python3"}
    ]


def page_blocks():
    """Returns the Python blocks of every page there is."""
    return [
        block
        for page in PAGES
        if page.exists()
        for block in blocks_of(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
    ]


def run_program(block):
    """Runs a block in its own namespace, top-level await included, and the tests it defines."""
    source = "\n" * (block.line - 1) + block.source
    code = compile(source, str(block), "exec", flags=FLAGS, dont_inherit=True)
    namespace = {"__name__": "__main__"}
    if code.co_flags & inspect.CO_COROUTINE:

        async def main():
            await eval(code, namespace)
            await run_tests(namespace)

    else:
        exec(code, namespace)

        async def main():
            await run_tests(namespace)

    asyncio.run(main())


async def run_tests(namespace):
    """Calls what a test runner would: functions named test_… that need no fixture."""
    for name, value in list(namespace.items()):
        if name.startswith("test_") and inspect.isfunction(value):
            if inspect.signature(value).parameters:
                continue
            result = value()
            if inspect.isawaitable(result):
                await result


def run_session(source, name):
    """Runs an interactive session (>>>) in a namespace of its own; returns how many examples."""
    session = doctest.DocTestParser().get_doctest(source, {"__name__": name}, name, name, 0)
    report = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    runner.run(session, out=report.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    return len(session.examples)


def documented():
    """Returns every docstring of the package, by name: modules, classes, methods, properties."""
    found = {}

    def visit(name, value, depth=0):
        text = inspect.getdoc(value) if depth else value.__doc__
        if text:
            found.setdefault(name, inspect.cleandoc(text))
        if inspect.isclass(value) and depth < 3:
            for member in vars(value):
                visit(f"{name}.{member}", getattr(value, member, None), depth + 1)

    for info in pkgutil.walk_packages(limitpal.__path__, "limitpal."):
        module = importlib.import_module(info.name)
        visit(info.name, module)
        for name, value in vars(module).items():
            ours = str(getattr(value, "__module__", "")).partition(".")[0] == "limitpal"
            if ours and (inspect.isclass(value) or inspect.isroutine(value)):
                visit(f"{info.name}.{name}", value, 1)
    visit("limitpal", limitpal)
    for name in limitpal.__all__:
        visit(f"limitpal.{name}", getattr(limitpal, name), 1)
    return {name: text for name, text in found.items() if ">>>" in text or blocks_of(text, name)}


def test_there_is_a_readme_with_a_program():
    """The first screen has a program that a tired person can copy."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert blocks_of(readme, "README.md")


@pytest.mark.parametrize("block", page_blocks(), ids=str)
def test_a_block_of_the_docs_runs(block, monkeypatch, tmp_path):
    """Each on its own, from its imports to its end."""
    monkeypatch.chdir(tmp_path)

    if ">>>" in block.source:
        assert run_session(block.source, str(block)) > 0
    else:
        run_program(block)


@pytest.mark.parametrize("block", page_blocks(), ids=str)
def test_a_block_of_the_docs_begins_with_its_imports(block):
    """It stands alone: what it uses of ours it imports itself."""
    if "limitpal" in block.source or any(name in block.source for name in limitpal.__all__):
        assert re.search(r"^(>>> )?(import limitpal|from limitpal import)", block.source, re.M)


DOCUMENTED = documented()


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_the_examples_of_a_docstring_run(name):
    """Python's and the extension's alike; each docstring imports what it uses."""
    text = DOCUMENTED[name]

    if ">>>" in text:
        assert run_session(text, name) > 0
    for block in blocks_of(text, name):
        if ">>>" not in block.source:
            run_program(block)


def test_some_docstrings_have_examples():
    """The net is not empty: classes of the extension and of Python both show an example."""
    names = " ".join(DOCUMENTED)

    for name in ("TokenBucket", "RetryPolicy", "CircuitBreaker", "ResilientExecutor"):
        assert name in names


def test_the_net_catches_a_program_that_fails():
    """A wrong block and a wrong session turn this suite red."""
    page = "Text\n\n```python title=x\nassert False\n```\n\n  ```py\n  await missing()\n  ```\n"
    plain, awaiting = blocks_of(page, "page")

    assert (plain.line, awaiting.line) == (4, 8)
    with pytest.raises(AssertionError):
        run_program(plain)
    with pytest.raises(NameError):
        run_program(awaiting)
    with pytest.raises(AssertionError):
        run_session(">>> 1 + 1\n3\n", "session")
