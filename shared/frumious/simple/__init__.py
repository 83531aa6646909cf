"""The Simple API (PEP 503, 691 and what followed): parsing and rendering, no I/O."""
