"""Real storage servers on this machine, each with a context manager that starts and stops it."""
