"""Find ports for servers that are yet to be started. All processes that use this module get different ports.

Until its server listens, a TCP port is free, and two processes that look at the same time could find the same one. So a
process that takes a port also binds the UDP port of the same number, on which no server here listens.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections import deque

_LOOPBACK = "127.0.0.1"
_PORTS = range(15_000, 32_000)  # outside of all systems' ranges for outgoing connections, which could take a port first
_TRIED = 200
_MOST_KEPT = 64  # per process, each a descriptor; the oldest port's server listens by then
_kept: deque[int] = deque()


def free_port() -> int:
    """Return a TCP port that is unused on the loopback address now and that no other process is given meanwhile.

    **Raises**: ``OSError`` if no free port is found.
    """
    for port in random.sample(_PORTS, min(_TRIED, len(_PORTS))):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((_LOOPBACK, port))
            if keep(port):
                return port
    raise OSError(f"no port between {_PORTS.start} and {_PORTS.stop - 1} of those tried is free on {_LOOPBACK}")


def keep(port: int) -> bool:
    """Reserve a port for this process as long as it lives; return False if another process has reserved it."""
    with socket.socket(type=socket.SOCK_DGRAM) as claim:
        try:
            claim.bind((_LOOPBACK, port))
        except OSError:
            return False
        if len(_kept) == _MOST_KEPT:
            os.close(_kept.popleft())
        _kept.append(claim.detach())
    return True
