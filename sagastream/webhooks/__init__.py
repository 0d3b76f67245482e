"""Reports each saga's end to ``WEBHOOK_URL`` by signed requests, repeated until the receiver confirms."""
