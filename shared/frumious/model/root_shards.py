"""The root index in shards: how many there are, and which of them lists a project."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from frumious.model.types import Key

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

SHARDS: Final = Key("web/simple-shards/")  # <digits>.json
HEAD: Final = Key(f"{SHARDS}head.json")
NUMBERS: Final = (16, 256, 4096)  # how many shards there may be: one, two or three digits

_NAME: Final = re.compile(r"(?:[0-9a-f]{1,3}|head)\.json")


def digits_of(number: int) -> int:
    """Return how many hexadecimal digits name one of a number of shards."""
    return len(f"{number - 1:x}")


def shard_key(digits: str) -> Key:
    """Return the key of the shard with a name."""
    return Key(f"{SHARDS}{digits}.json")


def shard_of(project: NormalizedName, number: int) -> str:
    """Return the name of the shard that lists a project: the first digits of its SHA-256."""
    return hashlib.sha256(project.encode()).hexdigest()[: digits_of(number)]


def is_shard(key: Key) -> bool:
    """Return whether a key is that of a shard or of the head, whatever the number of shards."""
    return key.startswith(SHARDS) and _NAME.fullmatch(key.removeprefix(SHARDS)) is not None
