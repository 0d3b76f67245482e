"""The saga engine's pure half: tables, facts and what follows from them. Never awaits, never speaks Redis."""
