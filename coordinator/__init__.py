"""The shop's coordinator: the table of an order's saga, its routes and its wiring."""
