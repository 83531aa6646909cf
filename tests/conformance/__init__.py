"""Compare each field of the Simple API on the mirror's pages with upstream's.

    python -m tests.conformance

Runs real jobs from the fake upstream into moto, reads the pages through the template's edge
function, parses them with pip and `packaging`, and writes docs/conformance.md.
"""
