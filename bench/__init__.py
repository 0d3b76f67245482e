"""What the engine costs: measured on the real saga, with every guarantee on."""
