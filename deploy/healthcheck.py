"""Exit 0 if the process beside this one is ready: ``healthcheck.py [PORT]``; without it ``PORT``, or 8080."""

from __future__ import annotations

import http.client
import os
import sys


def main(port: int) -> int:
    """Return the exit code a container's health check is read by."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    try:
        connection.request("GET", "/readyz")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("PORT") or 8080)))
