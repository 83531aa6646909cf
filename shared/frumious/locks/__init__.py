"""Reads lock files of several tools, and requirements files, as lists of what they pin."""
