"""How processes are started so that none outlives the one that started it. Knows nothing of their work."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def dies_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program, so that the end of its parent ends it too, by SIGTERM.

    Linux only; elsewhere None, and left-over processes are found by their pid file at the next start.
    The kernel watches the *thread* that forked: start children from the main thread.
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
