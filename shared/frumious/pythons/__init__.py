"""Builds of Python itself, which uv installs, by a list in uv's format."""
