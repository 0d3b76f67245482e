"""The same order saga in other people's engines, beside ours, on one machine. Run by ``make bench-peers`` only."""
