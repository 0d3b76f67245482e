"""Sagas followed as they go: what changed is told to every client that watches."""
