"""One option at a time out of an INI file: every mistake, and every key that was asked for."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    import configparser
    from collections.abc import Callable, Iterator

T = TypeVar("T")

_TOLERATED: Final = frozenset({"api-method", "delete-packages", "keep-index-versions"})
_REFERENCE: Final = re.compile(r"\{\{([A-Za-z0-9-]+_[A-Za-z0-9_-]+)\}\}")
_SECRETS: Final = re.compile(r"proxy|password|.*(secret|_token|CustomerKey).*")


class Reader:
    """Reads options and remembers what is wrong with them; nothing secret is ever told."""

    def __init__(self, ini: configparser.RawConfigParser) -> None:
        self.mistakes: list[str] = []
        self._ini = ini
        self._asked: dict[str, set[str]] = {}
        self._idle: list[str] = []

    def get(self, section: str, key: str, read: Callable[[str], T], default: T) -> T:
        """Read an option; `read` raises ValueError with what is allowed."""
        self._asked.setdefault(section, set()).add(key)
        text = self._ini.get(section, key, fallback=None)
        if text is None:
            return default
        try:
            return read(self._resolved(section, key, ()).strip())
        except ValueError as error:
            self.mistake(section, key, str(error))
            return default

    def mistake(self, section: str, key: str, text: str) -> None:
        """Remember what is wrong with an option that is there."""
        said = (self._ini.get(section, key, fallback=None) or "").strip()
        shown = "(not shown)" if _is_secret(key) else f"{said!r:.120}"
        self.mistakes.append(f"[{section}] {key} = {shown}: {text}")

    def no_effect_yet(self, section: str, key: str, why: str) -> None:
        """Remember an option that is understood, and does nothing."""
        if self._ini.has_option(section, key):
            self._idle.append(f"[{section}] {key} has no effect: {why}")

    def keys(self, section: str, prefix: str = "") -> Iterator[str]:
        """Give the keys of a section that begin with `prefix`."""
        if self._ini.has_section(section):
            yield from (key for key in self._ini.options(section) if key.startswith(prefix))

    def override(self, section: str, key: str, value: str) -> None:
        """Let the environment's word stand before the file's."""
        if not self._ini.has_section(section):
            self._ini.add_section(section)
        self._ini.set(section, key, value)

    def warnings(self) -> tuple[str, ...]:
        """Name the options that have no effect, with the nearest known key or section."""
        found = list(self._idle)
        for section in self._ini.sections():
            known = self._asked.get(section)
            if known is None:
                hint = _hint(section, self._asked)
                found.append(f"[{section}] is not known and has no effect{hint}")
                continue
            for key in self._ini.options(section):
                if key in known or (section == "mirror" and key in _TOLERATED):
                    continue
                found.append(f"[{section}] {key} is not known and has no effect{_hint(key, known)}")
        return tuple(found)

    def _resolved(self, section: str, key: str, seen: tuple[tuple[str, str], ...]) -> str:
        """Return an option's text, `{{section_option}}` in it replaced by that option's."""
        if (section, key) in seen:
            way = " -> ".join(f"[{one}] {other}" for one, other in (*seen, (section, key)))
            msg = f"the references lead back to where they began: {way}"
            raise ValueError(msg)

        def value(reference: re.Match[str]) -> str:
            there = self._option(reference[1])
            if there is None:
                msg = f"{reference[0]} refers to an option that is not there"
                raise ValueError(msg)
            # What refers to a secret would tell it, in an error or in a path.
            if _is_secret(there[1]) and not _is_secret(key):
                msg = f"{reference[0]} refers to a secret"
                raise ValueError(msg)
            return self._resolved(*there, (*seen, (section, key))).strip()

        return _REFERENCE.sub(value, self._ini.get(section, key, fallback=None) or "")

    def _option(self, name: str) -> tuple[str, str] | None:
        """Find which option `section_option` names; both may have underscores of their own."""
        for place in (match.start() for match in re.finditer("_", name)):
            section, key = name[:place], name[place + 1 :]
            if self._ini.has_option(section, key):
                return section, key
        return None


def _hint(name: str, known: set[str] | dict[str, set[str]]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; do you mean {near[0]!r}?" if near else ""


def _is_secret(key: str) -> bool:
    return _SECRETS.fullmatch(key) is not None
