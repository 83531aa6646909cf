"""Snapshots of the index."""
