"""Types that every room uses, and the ranges of values that enter or are read back.

msgspec checks the ranges of all types that have a `Meta` when it decodes or converts a value.
"""

from __future__ import annotations

from typing import Annotated, Final, NewType, TypeAlias

from msgspec import Meta
from packaging.utils import NormalizedName

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = "dict[str, Json]"

MAX_NAME_LENGTH: Final = 240
"""Characters of a project's name: with `.json` it has to fit into a file system's 255."""

MAX_SERIAL: Final = 10**18 - 1

RunId = NewType("RunId", str)
RunName = Annotated[RunId, Meta(pattern=r"\A([0-9A-Za-z][0-9A-Za-z.-]{0,99})?\Z")]

ProjectName = Annotated[
    NormalizedName, Meta(pattern=r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=MAX_NAME_LENGTH)
]

Key = NewType("Key", str)
"""An object's location relative to the mirror's directory, with forward slashes."""

PublicKey = Annotated[Key, Meta(pattern=r"\Aweb/[^\x00-\x1f\x7f]+\Z", max_length=1024)]

Hour = Annotated[str, Meta(pattern=r"\A[0-9]{8}T[0-9]{2}\Z")]
"""An hour as `layout.hour` writes it."""

Serial = Annotated[int, Meta(ge=0, le=MAX_SERIAL)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
END_OF_TIME: Final = 253_402_300_800
"""The year 10000, in seconds since the epoch."""

Seconds = Annotated[float, Meta(ge=0, lt=END_OF_TIME)]
"""Since the epoch; 0 stands for never."""

Sha256 = Annotated[str, Meta(pattern=r"\A([0-9a-f]{64})?\Z")]
"""Hexadecimal; empty: it is not known."""

Filename = Annotated[str, Meta(min_length=1, max_length=255)]
MAX_TIME_LENGTH: Final = 40
IsoTime = Annotated[str, Meta(max_length=MAX_TIME_LENGTH)]
"""ISO 8601; empty: it is not known."""
