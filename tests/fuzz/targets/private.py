"""Archives of a private directory: half-copied, damaged, or hostile."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Final

from frumious.private.inspection import InvalidPrivateFile, inspect, read_core_metadata


def private_wheel(data: bytes) -> None:
    """A wheel."""
    _inspect(data, "demo-1.0-py3-none-any.whl")


def private_sdist(data: bytes) -> None:
    """A source distribution."""
    _inspect(data, "demo-1.0.zip" if data.startswith(b"PK") else "demo-1.0.tar.gz")


def _inspect(data: bytes, filename: str) -> None:
    with suppress(InvalidPrivateFile):
        inspected = inspect(io.BytesIO(data), filename)
        assert inspected.version == "1.0"
        if inspected.core_metadata is not None:
            assert read_core_metadata(io.BytesIO(data), filename) == inspected.core_metadata


TARGETS: Final = (private_wheel, private_sdist)
