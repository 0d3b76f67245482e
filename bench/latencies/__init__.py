"""How quickly required reactions follow, while orders come at a steady pace."""
