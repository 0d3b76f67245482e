"""The shop's books: the data of all services compared with each other.

Reads the services' data directly, not through their code, so that a bug in one cannot hide another.
It must never change anything.
"""
