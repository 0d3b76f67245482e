"""Start child processes so that none outlives its parent. Knows nothing of their work."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def dies_with_parent() -> Callable[[], None] | None:
    """Return a function for a child to run before its program, so that it gets SIGTERM when its parent ends.

    Linux only; elsewhere None, and the next start finds left-over processes by their pid files. The kernel watches the
    *thread* that forked: start children from the main thread.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arm() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        # The parent may have been killed between fork and prctl: then no signal will ever come.
        if os.getppid() != parent:
            os._exit(1)

    return arm
