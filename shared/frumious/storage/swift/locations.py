"""Maps keys to containers and names.

Swift grants access to whole containers only. A published mirror therefore keeps everything but
`web/` in a container that readers have no access to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.model import layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.config.swift import SwiftConfig
    from frumious.model.types import Key

WEB: Final = "web/"
STATE: Final = "state/"
STATE_KEYS: Final = (layout.GENERATION, layout.STATUS)
"""The keys outside of `web/` and `state/`."""


@dataclass(frozen=True, slots=True)
class Location:
    """The container and the name of an object."""

    container: str
    name: str

    def __str__(self) -> str:
        """Return the description for error messages."""
        return f"{self.name!r} in the container {self.container!r}"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a listing, in one container."""

    container: str
    prefix: str  # of the names
    after: str = ""  # all names are above this one
    end: str = ""  # all names are below this one; empty: no limit

    def __str__(self) -> str:
        """Return the description for error messages."""
        return f"the names with the prefix {self.prefix!r} in the container {self.container!r}"


@dataclass(frozen=True, slots=True)
class Locations:
    """The containers of one mirror."""

    web: str  # container of `web/`, which readers have access to if the mirror is published
    state: str  # container of all other keys; the same if the mirror is not published
    segments: str  # container of the segments of large files
    directory: str  # prefix of each name: empty, or with a trailing slash

    @classmethod
    def of(cls, config: SwiftConfig, directory: str) -> Locations:
        """Choose the containers; `directory` may have slashes around it."""
        web = config.default_container
        inside = directory.strip("/")
        return cls(
            web=web,
            state=f"{web}_state" if config.publish else web,
            segments=f"{web}_segments",
            directory=f"{inside}/" if inside else "",
        )

    def of_key(self, key: Key) -> Location:
        """Return the location of an object."""
        return Location(self.web if key.startswith(WEB) else self.state, self.directory + key)

    def segments_of(self, key: Key, upload: str = "") -> Location:
        """Return the prefix of a file's segments, or of those of one upload."""
        return Location(self.segments, f"{self.directory}{key}/" + (f"{upload}/" if upload else ""))

    def spans(self, prefix: str, after: str) -> Iterator[Span]:
        """Yield the spans of a listing, in the order of the keys."""
        whole = Span(self.state, prefix, after)
        if self.web == self.state or not (prefix.startswith(WEB) or WEB.startswith(prefix)):
            yield self._with_directory(whole)
            return
        web_end = WEB + "\U0010ffff"  # above all keys of WEB
        if not prefix.startswith(WEB) and after < WEB:
            yield self._with_directory(Span(self.state, prefix, after, WEB))
        if after < web_end:
            yield self._with_directory(Span(self.web, max(prefix, WEB), after))
        if not prefix.startswith(WEB):
            yield self._with_directory(Span(self.state, prefix, max(after, web_end)))

    def _with_directory(self, span: Span) -> Span:
        after, end = (self.directory + key if key else "" for key in (span.after, span.end))
        return Span(span.container, self.directory + span.prefix, after, end)
