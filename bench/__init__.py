"""The cost of the engine, measured on the real order saga with every guarantee on."""
