"""Attestations (PEP 740): the signatures of a file's provenance prove who published it."""
