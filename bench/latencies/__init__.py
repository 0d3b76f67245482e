"""How soon what must follow follows, while orders come at a steady pace."""
