"""The notification service: tells the customer how the order ended. It never turns an order back."""
