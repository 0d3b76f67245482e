#!/bin/sh
# Makes a virtual environment with what the shop runs on: what requirements.lock names, whose hashes it names, no more.
#   deploy/install.sh DIRECTORY [PYTHON]
set -eu
cd "$(dirname "$0")/.."

"${2:-python3}" -m venv "$1"
"$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
  --require-hashes --only-binary :all: --requirement requirements.lock
"$1/bin/python" -m pip check
# Nothing is installed into a running container.
"$1/bin/python" -m pip uninstall --quiet --yes --root-user-action ignore setuptools pip
