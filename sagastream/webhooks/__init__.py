"""Whoever ``WEBHOOK_URL`` names is told how each saga ended, by signed requests, until it says that it has heard."""
