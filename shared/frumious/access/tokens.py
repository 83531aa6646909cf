"""Access tokens as values: the secret that a client sends, and the record that is stored of it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from frumious.errors import FrumiousError

# template.yaml's edge function has the same pattern. The secret is 192 random bits in hexadecimal,
# so that it needs no escape in a URL.
NAME: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_SECRET_BYTES: Final = 24
_DAY: Final = 86400


_Time = Annotated[int, Meta(ge=0, lt=10**11)]  # seconds since the epoch; until the year 5138


class _Record(Struct):
    """What the store has under a token's name."""

    sha256: str
    created: _Time
    expires: _Time | None


class TokenError(FrumiousError):
    """A token cannot be issued, stored, read or revoked."""


@dataclass(frozen=True, slots=True)
class Token:
    """The record of a token. The secret cannot be computed from it.

    `created` and `expires` are seconds since the epoch; a token without `expires` is valid until
    it is revoked.
    """

    name: str
    sha256: str  # of the whole secret
    created: int
    expires: int | None

    def expired(self, now: float) -> bool:
        """Return whether the edge refuses the token at this time."""
        return self.expires is not None and self.expires <= now

    def to_json(self) -> str:
        """Return the value that the edge function reads under the token's name."""
        record = {"sha256": self.sha256, "created": self.created, "expires": self.expires}
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_json(cls, name: str, text: str) -> Token:
        """Parse a value of the store.

        Raises:
            TokenError: the value is not a token's.
        """
        try:
            record = msgspec.json.decode(text, type=_Record)
        except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
            msg = f"the store's entry {name!r} is not a token; revoke it"
            raise TokenError(msg) from error
        return cls(name, record.sha256, record.created, record.expires)


def issue(name: str, now: float, *, days: int | None = None) -> tuple[str, Token]:
    """Return a new secret and its record; the token expires after `days`, if given.

    Raises:
        TokenError: the name is invalid.
    """
    if NAME.fullmatch(name) is None:
        msg = f"{name!r} is not a token's name: use 1 to 64 letters, digits, '.' and '-'"
        raise TokenError(msg)
    secret = f"frumious_{name}_{secrets.token_hex(_SECRET_BYTES)}"
    created = int(now)
    expires = None if days is None else created + days * _DAY
    return secret, Token(name, hashlib.sha256(secret.encode()).hexdigest(), created, expires)
