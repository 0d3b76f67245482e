"""Live updates on sagas: every change is sent to all connected clients that follow it."""
