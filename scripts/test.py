"""`make test`: every check of behaviour, in Rust and in Python, on one Python."""

import platform
import shutil
import sys

import instructions
from interpreters import interpreters
from steps import PYTHON, Failed, Skipped, Steps, call, read

# What a crate is called that brings a reactor or an executor of its own.
RUNTIMES = {
    "actix-rt",
    "async-executor",
    "async-global-executor",
    "async-io",
    "async-std",
    "embassy-executor",
    "futures-executor",
    "glommio",
    "mio",
    "monoio",
    "smol",
    "tokio",
}


def main() -> int:
    """Runs every check of behaviour; returns the exit status."""
    test = Steps("test")
    test.command("Rust tests and doctests", "cargo", "test", "--workspace", "--all-features")
    test.command(
        "Rust without features", "cargo", "build", "--package", "limitpal", "--no-default-features"
    )
    test.run("no async runtime without features", no_async_runtime)
    test.run("loom models", loom_models)
    test.run("Rust tests, every key in front of the locks", always_in_front)
    test.run("instructions per call", instructions.check)
    test.command("Python tests", PYTHON, "-m", "pytest")
    test.command("0.1.1's own tests", PYTHON, "python/tests/compat/run.py")
    stubtest = ("mypy.stubtest", "limitpal", "--allowlist", "scripts/stubtest.txt")
    test.command("stubs against the binary", PYTHON, "-m", *stubtest)
    test.command("mypy --strict", PYTHON, "-m", "mypy", "--strict")
    test.run("pyright", pyright)
    return test.close(f"Python tests ran on CPython {platform.python_version()}", others())


def loom_models() -> None:
    """Walks the interleavings of threads, in a build of its own: loom stands in for the locks."""
    binaries = ("--package", "limitpal", "--no-default-features", "--lib", "--test", "loom")
    call(
        *("cargo", "test", "--release", *binaries, "--target-dir", "target/loom"),
        RUSTFLAGS="--cfg loom",
        # As fast, and built in a third of the time.
        CARGO_PROFILE_RELEASE_LTO="off",
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS="16",
    )


def always_in_front() -> None:
    """Runs the tests with every key that may have a place in front of the locks in it at once.

    Otherwise keys get one only where threads have met, which tests on a mock clock seldom do.
    """
    binaries = ("--package", "limitpal", "--all-features", "--lib", "--test", "it")
    call(
        *("cargo", "test", *binaries, "--target-dir", "target/in-front"),
        RUSTFLAGS="--cfg always_in_front",
    )


def no_async_runtime() -> None:
    """Fails if a user without features would get an async runtime."""
    shape = ("--edges", "normal", "--no-default-features", "--prefix", "none")
    tree = read("cargo", "tree", "--package", "limitpal", *shape, "--format", "{p}")
    crates = {line.split()[0] for line in tree.splitlines() if line}
    print("limitpal without features depends on:", ", ".join(sorted(crates - {"limitpal"})))
    found = crates & RUNTIMES
    if found:
        raise Failed(f"an async runtime without features: {', '.join(sorted(found))}")


def pyright() -> None:
    """Checks the same files as mypy, with the other type checker."""
    if not shutil.which("node"):
        raise Skipped("no node on the PATH; pyright needs Node 18 or later, https://nodejs.org")
    call(PYTHON, "-m", "pyright", "--warnings", "--pythonpath", PYTHON)


def others() -> str:
    """Which other Pythons `make matrix` would add here."""
    here = platform.python_version_tuple()[:2]
    names = [one.name for one in interpreters() if one.name != ".".join(here) and not one.obstacle]
    return f"`make matrix` would add {', '.join(names)}" if names else "no other Python is here"


if __name__ == "__main__":
    sys.exit(main())
