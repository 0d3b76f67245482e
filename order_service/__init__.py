"""The order service: takes orders, confirms or cancels them. Its confirmation is the saga's pivot."""
