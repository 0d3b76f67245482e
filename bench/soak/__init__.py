"""A whole shop running for a long time, and whether anything grows that must not."""
