"""The notification service: notifies the customer how the order ended. It never causes an order to be undone."""
