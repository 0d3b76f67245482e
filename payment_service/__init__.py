"""The payment service: takes an order's money, or gives it back. The provider keeps its own books."""
