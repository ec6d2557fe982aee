"""`make lint`: form and habits, in Rust and in Python. Changes nothing."""

import sys

import sizes
from steps import PYTHON, ROOT, Steps, read


def main() -> int:
    """Runs every check of form; returns the exit status."""
    lint = Steps("lint")
    lint.run("Cargo.lock is current", lock_is_current)
    lint.command("cargo fmt", "cargo", "fmt", "--all", "--check")
    for bench in sorted((ROOT / "bench").glob("*/Cargo.toml")):
        manifest = bench.relative_to(ROOT)
        lint.command(
            f"cargo fmt in {manifest.parent}",
            *("cargo", "fmt", "--check", "--manifest-path", str(manifest)),
        )
    lint.command(
        "cargo clippy",
        *("cargo", "clippy", "--workspace", "--all-targets", "--all-features"),
        *("--", "--deny", "warnings"),
    )
    lint.command(
        "cargo clippy without features",
        *("cargo", "clippy", "--package", "limitpal", "--no-default-features"),
        *("--", "--deny", "warnings"),
    )
    lint.command(
        "cargo clippy of the loom models",
        *("cargo", "clippy", "--package", "limitpal", "--no-default-features"),
        *("--lib", "--test", "loom", "--target-dir", "target/loom", "--", "--deny", "warnings"),
        RUSTFLAGS="--cfg loom",
    )
    lint.command("ruff check", PYTHON, "-m", "ruff", "check", ".")
    lint.command("ruff format", PYTHON, "-m", "ruff", "format", "--check", ".")
    lint.run("sizes", sizes.check)
    return lint.close()


def lock_is_current() -> None:
    """Fails if the lock file does not name what the manifests ask for."""
    read("cargo", "metadata", "--locked", "--format-version=1")


if __name__ == "__main__":
    sys.exit(main())
