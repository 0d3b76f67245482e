"""A whole shop at work for a long time, and whether anything grows that must not."""
