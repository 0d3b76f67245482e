"""The payment service: charges and refunds orders. The provider keeps its own record."""
