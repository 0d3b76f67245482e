"""The stock service: what each store has in stock, and the pieces reserved for each order."""
