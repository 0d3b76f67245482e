"""The stock service: what each store has on hand, and what it holds for which order."""
