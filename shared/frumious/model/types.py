"""Types that every room uses."""

from __future__ import annotations

from typing import Annotated, NewType, TypeAlias

from msgspec import Meta
from packaging.utils import NormalizedName

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

RunId = NewType("RunId", str)

ProjectName = Annotated[NormalizedName, Meta(pattern=r"\A[a-z0-9]+(-[a-z0-9]+)*\Z")]

Key = NewType("Key", str)
"""An object's location relative to the mirror's directory, with forward slashes."""
