"""The mirror in a folder."""
