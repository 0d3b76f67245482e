#!/bin/sh
# Makes the one directory a container may write to.
#   deploy/data-dir.sh DIRECTORY USER_ID
set -eu

mkdir -p "$1"
chown "$2:$2" "$1"
chmod 0750 "$1"
