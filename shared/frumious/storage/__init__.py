"""Where the mirror is stored: one small protocol, and the storages that keep it."""
