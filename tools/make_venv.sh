#!/bin/sh
# Make the project's virtual environment and install the project into it: make_venv.sh PYTHON VENV WHAT
#
# A torch (2.9 or later) that the given Python has already is used; otherwise the one in constraints.txt is installed.
set -eu
python=$1 venv=$2 what=$3

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "placenorm needs Python 3.11 or later; name one: make PYTHON=/path/to/python3" >&2
    exit 1
}

has_torch() {
    "$1" - <<'EOF'
import sys
from importlib import metadata
try:
    found = tuple(int(part) for part in metadata.version("torch").split("+")[0].split(".")[:2])
except (metadata.PackageNotFoundError, ValueError):
    sys.exit(1)
sys.exit(found < (2, 9))
EOF
}

constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
cp constraints.txt "$constraints"
share=
if has_torch "$python"; then
    echo "using the torch that $python has"
    share=--system-site-packages
    grep -v -e '^torch==' -e '^torchvision==' constraints.txt > "$constraints"
    "$python" -c 'from importlib.metadata import version; print("torch==" + version("torch"))' >> "$constraints"
fi
if [ ! -x "$venv/bin/python" ]; then
    "$python" -m venv $share "$venv" || {
        echo "$python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
        rm -rf "$venv"
        exit 1
    }
fi
echo "installing $what into $venv, once; with the CUDA build of torch that is about 6 GB"
"$venv/bin/python" -m pip install --disable-pip-version-check -c "$constraints" -e "$what"
