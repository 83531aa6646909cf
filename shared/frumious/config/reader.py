"""Access to the options of an INI file; collects every mistake and every unknown key.

`frumious.config.options` declares them.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from frumious.redaction import redact

if TYPE_CHECKING:
    import configparser
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from frumious.config.options import Option, Options

T = TypeVar("T")

_IGNORED: Final = frozenset({"api-method", "delete-packages", "keep-index-versions"})
_REFERENCE: Final = re.compile(r"\{\{([A-Za-z0-9-]+_[A-Za-z0-9_-]+)\}\}")
_USERINFO: Final = re.compile(r"""[^\s'"]+@""")
_SECRETS: Final = re.compile(r"proxy|password|.*(secret|_token|CustomerKey).*")


class Reader:
    """Parses options and collects mistakes, without the values of secrets."""

    def __init__(self, ini: configparser.RawConfigParser) -> None:
        self.mistakes: list[str] = []
        self._ini = ini
        self._known: dict[str, set[str]] = {}
        self._unused: list[str] = []

    def get(self, section: str, key: str, parse: Callable[[str], T], default: T) -> T:
        """Return an option; `parse` raises ValueError with the valid values."""
        self._known.setdefault(section, set()).add(key)
        text = self._ini.get(section, key, fallback=None)
        if text is None:
            return default
        try:
            return parse(self._resolved(section, key, ()).strip())
        except ValueError as error:
            self.add_mistake(section, key, str(error))
            return default

    def options(
        self,
        section: str,
        kind: type[Options],
        environment: Mapping[str, str],
        *,
        hyphens: bool = False,
    ) -> dict[str, Any]:
        """Return the options that a class declares, by field; `hyphens` are in their keys."""
        options = {}
        for field, declared in kind.options.items():
            key = declared.key or (field.replace("_", "-") if hyphens else field)
            options[field] = self.get(section, key, declared.parse, declared.default)
            if declared.variables and not self.has(section, key):
                options[field] = self._variable(declared, environment)
        return options

    def _variable(self, declared: Option, environment: Mapping[str, str]) -> Any:  # noqa: ANN401
        variable = next(filter(environment.get, declared.variables), None)
        if variable is None:
            return declared.default
        try:
            return declared.parse(environment[variable])
        except ValueError as error:
            self.mistakes.append(f"{variable} = {_shown(environment[variable])}: {error}")
            return declared.default

    def add_mistake(self, section: str, key: str, text: str) -> None:
        """Report an invalid option."""
        value = (self._ini.get(section, key, fallback=None) or "").strip()
        shown = "(not shown)" if _is_secret(key) else _shown(value)
        text = _USERINFO.sub("***@", text)
        self.mistakes.append(f"[{section}] {key} = {shown}: {text}")

    def refuse_unknown(self, section: str, known: Sequence[str]) -> None:
        """Report unknown keys as mistakes, where one without effect would be dangerous."""
        for key in self.keys(section):
            if key not in known:
                self.add_mistake(section, key, f"is unknown; must be {', '.join(known)}")
                self._known.setdefault(section, set()).add(key)  # no warning as well

    def warn_unused(self, section: str, key: str, reason: str) -> None:
        """Warn about a known option that has no effect, if it is set."""
        if self._ini.has_option(section, key):
            self._unused.append(f"[{section}] {key} has no effect: {reason}")

    def warn(self, text: str) -> None:
        """Warn about options that do not have the effect that they seem to have."""
        self._unused.append(text)

    def text(self, section: str, key: str) -> str:
        """Return an option's text; empty if it is not set."""
        return (self._ini.get(section, key, fallback="") or "").strip()

    def unknown_sections(self) -> list[str]:
        """Return the sections of which no option was read."""
        return [name for name in self._ini.sections() if name not in self._known]

    def has_section(self, section: str) -> bool:
        """Return whether the file has a section, empty or not."""
        return self._ini.has_section(section)

    def has(self, section: str, key: str) -> bool:
        """Return whether an option is set."""
        return bool(self._ini.get(section, key, fallback=""))

    def keys(self, section: str, prefix: str = "") -> Iterator[str]:
        """Yield the keys of a section that begin with `prefix`."""
        if self._ini.has_section(section):
            yield from (key for key in self._ini.options(section) if key.startswith(prefix))

    def override(self, section: str, key: str, value: str) -> None:
        """Replace the file's value."""
        if not self._ini.has_section(section):
            self._ini.add_section(section)
        self._ini.set(section, key, value)

    def warnings(self) -> tuple[str, ...]:
        """Return a warning for each option without effect, with the nearest known name."""
        warnings = list(self._unused)
        for section in self._ini.sections():
            known = self._known.get(section)
            if known is None:
                hint = did_you_mean(section, self._known)
                warnings.append(f"[{section}] is unknown and has no effect{hint}")
                continue
            for key in self._ini.options(section):
                if key in known or (section == "mirror" and key in _IGNORED):
                    continue
                hint = did_you_mean(shown_key(key), known)
                warnings.append(f"[{section}] {shown_key(key)} is unknown and has no effect{hint}")
        return tuple(warnings)

    def _resolved(self, section: str, key: str, chain: tuple[tuple[str, str], ...]) -> str:
        """Return an option's text with each `{{section_option}}` replaced by that option."""
        chain = (*chain, (section, key))
        if (section, key) in chain[:-1]:
            cycle = " -> ".join(f"[{section}] {key}" for section, key in chain)
            msg = f"the references form a cycle: {cycle}"
            raise ValueError(msg)

        def value(reference: re.Match[str]) -> str:
            target = self._option(reference[1])
            if target is None:
                msg = f"{reference[0]} refers to an option that does not exist"
                raise ValueError(msg)
            # Otherwise the secret could be part of an error or a path.
            if _is_secret(target[1]) and not _is_secret(key):
                msg = f"{reference[0]} refers to a secret"
                raise ValueError(msg)
            text = self._resolved(*target, chain).strip()
            if redact(text) != text and not _is_secret(key):
                msg = f"{reference[0]} refers to a URL with a password"
                raise ValueError(msg)
            return text

        return _REFERENCE.sub(value, self._ini.get(section, key, fallback=None) or "")

    def _option(self, name: str) -> tuple[str, str] | None:
        """Return the option that `section_option` names; both names may have underscores."""
        for index in (match.start() for match in re.finditer("_", name)):
            section, key = name[:index], name[index + 1 :]
            if self._ini.has_option(section, key):
                return section, key
        return None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint at the known name that is closest to `name`, or an empty text."""
    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def shown_key(key: str) -> str:
    """Return a key up to its first space: a line without `=` is a key as a whole."""
    return re.split(r"[^\w.-]", key, maxsplit=1)[0]


def _shown(value: str) -> str:
    """Return the representation of a value; not of one that may contain a password."""
    return "(not shown)" if "@" in value else f"{redact(value)!r:.120}"


def _is_secret(key: str) -> bool:
    return _SECRETS.fullmatch(key) is not None
