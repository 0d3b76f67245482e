"""Test a saga without a server and without waiting: virtual time and an in-memory Redis."""
