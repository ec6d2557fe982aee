"""Runs the test suite of limitpal 0.1.1, unchanged but for one name, against the installed package.

The suite comes from the Python index at test time and is not ours to keep. Of its source archive
only `tests/` is unpacked, so that 0.1.1's own package cannot be imported by mistake.
`limiter._buckets`, the one private name it reads, is read as `limiter`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

ARCHIVE = "limitpal-0.1.1.tar.gz"
SHA256 = "91cc570942f061b3989d365f6485556b10c9da08c2c29fc802fe75770687dbbb"
TESTS = 119
CACHE = Path(__file__).resolve().parents[3] / ".cache" / "compat"
SETTINGS = """\
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
testpaths = tests
"""


def main() -> int:
    """Fetches the suite, runs it, and holds the count to what 0.1.1 shipped."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--archive", type=Path, help="0.1.1's source archive, if you have it")
    archive = arguments.parse_args().archive or fetch(CACHE)
    verify(archive)
    with tempfile.TemporaryDirectory(prefix="limitpal-compat-") as place:
        unpack(archive, Path(place))
        check_what_is_imported(Path(place))
        return run(Path(place))


def fetch(folder: Path) -> Path:
    """The source archive of 0.1.1, from the cache or from the Python index."""
    archive = folder / ARCHIVE
    if not archive.exists():
        wanted = ("--no-deps", "--no-binary", "limitpal", "--dest", str(folder), "limitpal==0.1.1")
        pip = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", *wanted])
        if pip.returncode or not archive.exists():
            sys.exit(
                f"the compat suite needs {ARCHIVE}, and pip could not download it from the Python "
                f"index; connect to the network, or put the file at {archive}"
            )
    return archive


def verify(archive: Path) -> None:
    """Stops unless the archive is the one that was published."""
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{archive} has sha256 {found}, and 0.1.1 was published with {SHA256}; delete it")


def unpack(archive: Path, place: Path) -> None:
    """Writes the archive's `tests/` into `place`, with the private name replaced."""
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            path = Path(*Path(member.name).parts[1:])
            content = source.extractfile(member) if path.parts[:1] == ("tests",) else None
            if content is None or path.suffix != ".py" or ".." in path.parts:
                continue
            text = content.read().decode("utf-8")
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_text(text.replace("limiter._buckets", "limiter"), "utf-8")
    (place / "pytest.ini").write_text(SETTINGS, "utf-8")


def check_what_is_imported(place: Path) -> None:
    """Stops unless `limitpal`, seen from where the suite runs, is the installed package of ours."""
    question = "import limitpal; print(limitpal.__version__, limitpal.__file__)"
    answer = subprocess.run(
        [sys.executable, "-c", question], cwd=place, env=bare(), capture_output=True, text=True
    )
    if answer.returncode:
        sys.exit(f"limitpal does not import here; run this by `make test`\n{answer.stderr}")
    version, file = answer.stdout.strip().split(maxsplit=1)
    installed = metadata.version("limitpal")
    if version != installed or version == "0.1.1" or Path(file).is_relative_to(place):
        sys.exit(f"the suite would test {version} at {file}, and {installed} is installed")
    print(f"0.1.1's suite runs against limitpal {version}", flush=True)


def run(place: Path) -> int:
    """Runs the suite; passes only if every one of its tests ran and passed."""
    report = place / "report.xml"
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"],
        cwd=place,
        env=bare(),
    ).returncode
    if status or not report.exists():
        return status or 1
    suites = ElementTree.parse(report).getroot().findall("testsuite")
    ran = sum(int(suite.get("tests", 0)) - int(suite.get("skipped", 0)) for suite in suites)
    if ran != TESTS:
        print(f"{ran} of 0.1.1's tests ran; there are {TESTS}")
        return 1
    return 0


def bare() -> dict[str, str]:
    """The environment, without what would let another `limitpal` or another setting in."""
    hidden = {"PYTHONPATH", "PYTEST_ADDOPTS", "PYTEST_PLUGINS"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


if __name__ == "__main__":
    sys.exit(main())
