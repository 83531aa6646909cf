"""Snapshots of the index: made, compared, deleted, and given to readers."""
