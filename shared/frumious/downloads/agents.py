"""What installers state about themselves in the User-Agent header.

pip (`user_agent` in `pip/_internal/network/session.py`), uv (crates/uv-client/src/linehaul.rs) and
others append JSON in the format of pypi/linehaul; Poetry and PDM name only versions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import msgspec
from msgspec import Struct


class _Named(Struct):
    name: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.name, self.version)))


class _System(Struct):
    name: str | None = None
    release: str | None = None


class _Details(Struct):
    installer: _Named | None = None
    python: str | None = None
    implementation: _Named | None = None
    distro: _Named | None = None
    system: _System | None = None
    ci: bool | None = None


class Agent(NamedTuple):
    """An installer and the machine that it runs on; empty: it does not say."""

    installer: str
    python: str
    system: str
    ci: bool | None

    def __str__(self) -> str:
        python = f"Python {self.python}" if self.python else ""
        ci = "CI" if self.ci else ""
        return ", ".join(filter(None, (self.installer, python, self.system, ci)))


@lru_cache(4096)
def parse_agent(text: str) -> Agent:
    """Return what a User-Agent says. An unknown one is the name of its installer."""
    product, brace, details = text.partition(" {")
    try:
        parsed = msgspec.json.decode(brace + details, type=_Details) if brace else None
    except (ValueError, RecursionError):
        parsed = None
    if parsed is None:
        return Agent(text.replace("/", " ") if text.count("/") == 1 else text, "", "", None)
    system = parsed.distro or (parsed.system and parsed.system.name)
    installer = str(parsed.installer or "") or product.replace("/", " ", 1)
    return Agent(installer, parsed.python or "", str(system or ""), parsed.ci)
