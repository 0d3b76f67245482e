"""The shop's demo: orders that succeed, and orders that fail in various ways. ``make demo`` plays it."""
