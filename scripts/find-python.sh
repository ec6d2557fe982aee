#!/bin/sh
# Prints a CPython 3.10 or later that can make virtual environments: the one to set up with.
# $PYTHON goes first, then python3, then the newest. Prints nothing and fails if there is none.
set -u

question='
import ensurepip, platform, sys, sysconfig, venv
fits = platform.python_implementation() == "CPython" and sys.version_info >= (3, 10)
if not fits or sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit(1)
print(sys.executable)
'

for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
    # A name on the PATH may be a version manager's shim with nothing behind it: only running tells.
    if found=$("$name" -c "$question" 2>/dev/null); then
        printf '%s\n' "$found"
        exit 0
    fi
done
exit 1
