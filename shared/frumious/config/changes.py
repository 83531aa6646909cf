"""`[changes]`: the change feed that the mirror publishes, and who signs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.config import values
from frumious.config.options import Options, option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from frumious.config.reader import Reader

SECTION: Final = "changes"


def _name(text: str) -> str:
    from frumious.model.checkpoint import is_key_name  # noqa: PLC0415 (feeds are optional)

    if is_key_name(text):
        return text
    msg = "must be a name without spaces and plus signs, such as pypi.example.org"
    raise ValueError(msg)


class ChangesConfig(Options, frozen=True, kw_only=True):
    """How the feed is called, and with which key its checkpoints are signed; without one: not."""

    name: str = option(_name, "frumious")  # of the key; it begins the origins of feeds as well
    secret_key: Path | None = option(values.path, None)  # a file of minisign's, not encrypted
    kms_key: str = option(str, "", variables=("FRUMIOUS_CHANGES_KEY",))  # its ARN, in AWS KMS


def read_changes(reader: Reader, environment: Mapping[str, str]) -> ChangesConfig | None:
    """Read `[changes]`; None: there is no such section, or it is not enabled."""
    enabled = reader.get(SECTION, "enabled", values.boolean, True)
    options = reader.options(SECTION, ChangesConfig, environment, hyphens=True)
    if not enabled or not reader.has_section(SECTION):
        return None
    if options["secret_key"] is not None and options["kms_key"]:
        reader.add_mistake(SECTION, "kms-key", "one key signs: either secret-key or kms-key")
    return ChangesConfig(**options)


def public_key(text: str) -> bytes:
    """Parse a public key for `feed-key`: minisign's, or that of a signed note."""
    if not text:
        return b""
    from frumious.model.checkpoint import parse_public_key  # noqa: PLC0415 (feeds are optional)

    return parse_public_key(text)
