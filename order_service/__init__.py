"""The order service: takes, confirms and cancels orders. Its confirmation is the saga's pivot."""
