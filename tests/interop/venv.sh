#!/bin/sh
# Prints the Python of a virtual environment with requirements.txt installed, or the file given, making it where
# it is missing. It lies in the user's cache folder, one for each state of the requirements.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
requirements=${1:-$here/requirements.txt}
key=$(cksum <"$requirements" | cut -d' ' -f1)
venv="${XDG_CACHE_HOME:-$HOME/.cache}/frazil/interop-$key"
if [ ! -e "$venv/complete" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements" >&2
    touch "$venv/complete"
fi
echo "$venv/bin/python"
