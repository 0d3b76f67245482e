"""Ports for servers that are yet to be started. Each is given to one process only among all that ask here.

Until its server listens, a port is nobody's: two processes that look for one at the same time could find the same. So
who is given a port keeps the UDP port of the same number, on which nobody here listens.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections import deque

_LOOPBACK = "127.0.0.1"
_PORTS = range(15_000, 32_000)  # no system's own range for what goes out, which could take one before it is used
_TRIED = 200
_MOST_KEPT = 64  # by one process, each a descriptor; who was given the oldest has long been listening
_kept: deque[int] = deque()


def free_port() -> int:
    """Return a TCP port nobody uses on the loopback address right now, and nobody else is given meanwhile.

    **Raises**: ``OSError`` if there is none to be had.
    """
    for port in random.sample(_PORTS, min(_TRIED, len(_PORTS))):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((_LOOPBACK, port))
            if keep(port):
                return port
    raise OSError(f"no port between {_PORTS.start} and {_PORTS.stop - 1} of those tried is free on {_LOOPBACK}")


def keep(port: int) -> bool:
    """Keep a port from being given to anybody else for as long as this process lives; False if somebody keeps it."""
    with socket.socket(type=socket.SOCK_DGRAM) as claim:
        try:
            claim.bind((_LOOPBACK, port))
        except OSError:
            return False
        if len(_kept) == _MOST_KEPT:
            os.close(_kept.popleft())
        _kept.append(claim.detach())
    return True
