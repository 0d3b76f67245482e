#!/bin/sh
# Refuses an image that could not run: every module compiles, the sagas fit, every service can be imported.
#   deploy/verify.sh DIRECTORY
set -eu
cd "$(dirname "$0")/.."

"$1/bin/python" -m compileall -q .
"$1/bin/python" -m sagastream.cli check
"$1/bin/python" - <<'END'
from sagastream.project import load_factory, read_project

project = read_project()
for target in (*project.services.values(), *(companion.service for companion in project.companions)):
    load_factory(target)
END
