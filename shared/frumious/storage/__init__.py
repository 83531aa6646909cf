"""Where the mirror is stored: one protocol, and the storages that implement it."""
