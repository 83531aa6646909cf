"""The feed of advisories: OSV's archive for PyPI."""
