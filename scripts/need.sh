#!/bin/sh
# Says which of the tools named as arguments (python cargo lint-tools) are missing, and how to get them.
set -u
cd "$(dirname "$0")/.." || exit 1
missing=0

missing() { # what, how to get it
    printf 'missing: %s\n' "$1" >&2
    printf '         %s\n' "$2" >&2
    missing=1
}

need_python() {
    scripts/find-python.sh >/dev/null && return
    version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    case "$version" in
    3.1[0-9] | 3.[2-9][0-9])
        missing "the venv and ensurepip modules of Python $version" \
            "Debian, Ubuntu: apt install python$version-venv; elsewhere install Python from https://www.python.org/downloads/"
        ;;
    *)
        missing "CPython 3.10 or later (python3 here: ${version:-none})" \
            "https://www.python.org/downloads/; Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python. PYTHON=/path/to/python make … names one yourself"
        ;;
    esac
}

need_cargo() {
    wanted=$(sed -n 's/^rust-version = "\([0-9.]*\)"/\1/p' Cargo.toml)
    found=$(cargo --version 2>/dev/null | sed -n 's/^cargo \([0-9.]*\).*/\1/p')
    if [ -z "$found" ]; then
        missing "Rust $wanted or later (no cargo on the PATH)" "https://rustup.rs"
    elif ! printf '%s %s\n' "$found" "$wanted" |
        awk '{ split($1, f, "."); split($2, w, "."); exit !(f[1] * 10000 + f[2] >= w[1] * 10000 + w[2]) }'; then
        missing "Rust $wanted or later (cargo here: $found)" "rustup update stable, or https://rustup.rs"
    fi
    if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
        missing "a C compiler, which links what Rust builds (no ${CC:-cc} on the PATH)" \
            "Debian, Ubuntu: apt install build-essential; Fedora: dnf install gcc; macOS: xcode-select --install"
    fi
}

need_lint_tools() {
    command -v cargo >/dev/null 2>&1 || return # need_cargo says it
    for tool in fmt clippy; do
        cargo "$tool" --version >/dev/null 2>&1 ||
            missing "cargo $tool" "rustup component add rustfmt clippy; Debian, Ubuntu: apt install rustfmt rust-clippy"
    done
}

for tool in "$@"; do
    case "$tool" in
    python) need_python ;;
    cargo) need_cargo ;;
    lint-tools) need_lint_tools ;;
    *) missing "a rule for $tool in scripts/need.sh" "write it there" ;;
    esac
done
exit "$missing"
