"""The shop's demo: what happens to orders when things go well, and when they do not. ``make demo`` plays it."""
