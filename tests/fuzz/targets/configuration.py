"""What operators enter: mirror.conf, access tokens, events of the planner."""

from __future__ import annotations

from frumious.access.tokens import Token, TokenError
from frumious.config.loading import ConfigError, parse
from frumious.selection.selection import Selection
from tests.fuzz.targets.checks import PROJECT


def mirror_conf(data: bytes) -> None:
    """The file mirror.conf."""
    try:
        config = parse(data.decode("utf-8", "replace"), {})
    except ConfigError:
        return
    selection = Selection.of(config.filters)
    assert isinstance(selection.wants(PROJECT), bool)
    assert config.directory or config.bucket


def token(data: bytes) -> None:
    """An entry of the token store."""
    try:
        record = Token.from_json("name", data.decode("utf-8", "replace"))
    except TokenError:
        return
    assert isinstance(record.expired(1_800_000_000.0), bool)
    assert Token.from_json("name", record.to_json()) == record


TARGETS = (mirror_conf, token)
