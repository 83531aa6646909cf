"""Types that every room uses."""

from __future__ import annotations

from typing import NewType, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


JsonObject: TypeAlias = "dict[str, Json]"


RunId = NewType("RunId", str)


Key = NewType("Key", str)
"""Where something is stored, relative to the mirror's directory; always with forward slashes."""
