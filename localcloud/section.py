"""A section of the template whose keys must all be handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcloud.template import TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Section:
    """A mapping of the template; each key must be taken, skipped or ignored before `finish`."""

    def __init__(self, where: str, members: Mapping[str, Any], skipped: list[str]) -> None:
        self.where = where
        self._members = dict(members)
        self._skipped = skipped

    def take(self, key: str, default: Any = None) -> Any:
        return self._members.pop(key, default)

    def require(self, key: str) -> Any:
        if key not in self._members:
            msg = f"{self.where} has no {key!r}"
            raise TemplateError(msg)
        return self._members.pop(key)

    def section(self, key: str, default: Mapping[str, Any] | None = None) -> Section:
        return self.of(key, self.require(key) if default is None else self.take(key, default))

    def of(self, key: str, members: Mapping[str, Any]) -> Section:
        return Section(f"{self.where}.{key}", members, self._skipped)

    def skip(self, *keys: str) -> None:
        """Drop keys that the local stack does not simulate, and record them."""
        present = [key for key in keys if key in self._members]
        self._skipped += [f"{self.where}.{key}" for key in present]
        for key in present:
            del self._members[key]

    def ignore(self, *keys: str) -> None:
        """Drop keys without an observable effect, such as a description."""
        for key in keys:
            self._members.pop(key, None)

    def finish(self) -> None:
        if self._members:
            msg = f"the local stack does not support {self.where}.{next(iter(self._members))}"
            raise TemplateError(msg)
