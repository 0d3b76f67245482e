"""The same order saga in other engines, beside ours, on one machine. Run by ``make bench-peers`` only."""
