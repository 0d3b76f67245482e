"""``python -m sagastream.cli``: the command, where no script is installed."""

from __future__ import annotations

import sys

from sagastream.cli import main

sys.exit(main())
