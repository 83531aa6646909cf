"""The mirror in a folder of a file system."""
