"""What the mirror serves of each field of the Simple API, against what upstream said.

    python -m tests.conformance

does real jobs from the fake upstream into moto, reads pages back through the template's edge
function, lets pip and `packaging` parse them, and writes docs/conformance.md.
"""
