"""The shop's books: what every service wrote down, side by side, and whether it agrees.

Reads what the services own without going through them, so that no fault of theirs can hide another.
It must never change anything.
"""
