"""Hashes of filters, by which a changed configuration is noticed."""

from __future__ import annotations

import hashlib

from frumious.value import Value


def fingerprint(*values: object) -> str:
    """Return a hash of filters or their options."""
    canonical = tuple(map(_canonical, values))
    return hashlib.sha256(repr(canonical).encode()).hexdigest()[:16]


def _canonical(value: object) -> object:
    """Return a value whose representation is the same in every process."""
    if isinstance(value, Value):
        fields = [_canonical(getattr(value, name)) for name in value.__struct_fields__]
        return [type(value).__name__, *fields]
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [_canonical(each) for each in value]
    return value if value is None or isinstance(value, bool) else str(value)
