"""Real storage servers on this machine; context managers start and stop them."""
