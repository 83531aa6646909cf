"""Frumious, the serverless mirror of PyPI. Knows nothing of Lambda."""

__version__ = "0.1.0"
