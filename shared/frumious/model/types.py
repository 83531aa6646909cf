"""Types that every room uses."""

from __future__ import annotations

from typing import NewType, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

RunId = NewType("RunId", str)

Key = NewType("Key", str)
"""An object's location relative to the mirror's directory, with forward slashes."""
