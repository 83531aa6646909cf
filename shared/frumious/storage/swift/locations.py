"""Which container a key lies in, and under which name.

Swift lets readers into a container or not; it cannot let them into a part of one. A mirror that is
published keeps what readers must not see, which is all but `web/`, in a container of its own.
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
"""What lies beside `web/` and `state/`."""


@dataclass(frozen=True, slots=True)
class Location:
    """An object's container and name."""

    container: str
    name: str

    def __str__(self) -> str:
        """Name it as errors do."""
        return f"{self.name!r} in the container {self.container!r}"


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a listing that lies in one container."""

    container: str
    prefix: str  # of the names
    after: str = ""  # name that the part begins behind; empty: at its beginning
    end: str = ""  # name that the part ends before; empty: at its end

    def __str__(self) -> str:
        """Name it as errors do."""
        return f"the names from {self.prefix!r} on in the container {self.container!r}"


@dataclass(frozen=True, slots=True)
class Locations:
    """Where the keys of one mirror lie."""

    web: str  # container that readers see, when the mirror is published
    state: str  # container of all the rest; the same, when it is not
    segments: str  # container of large files' segments
    directory: str  # that begins each name; empty, or with a slash at its end

    @classmethod
    def of(cls, config: SwiftConfig, directory: str) -> Locations:
        """Choose the containers; `directory` is the mirror's, with or without slashes around."""
        web = config.default_container
        inside = directory.strip("/")
        return cls(
            web=web,
            state=f"{web}_state" if config.publish else web,
            segments=f"{web}_segments",
            directory=f"{inside}/" if inside else "",
        )

    def of_key(self, key: Key) -> Location:
        """Return where an object lies."""
        return Location(self.web if key.startswith(WEB) else self.state, self.directory + key)

    def segments_of(self, key: Key, upload: str = "") -> Location:
        """Return below which name a file's segments lie, or those of one upload of it."""
        return Location(self.segments, f"{self.directory}{key}/" + (f"{upload}/" if upload else ""))

    def spans(self, prefix: str, after: str) -> Iterator[Span]:
        """Give the parts that a listing is put together from, in the order of the keys."""
        whole = Span(self.state, prefix, after)
        if self.web == self.state or not (prefix.startswith(WEB) or WEB.startswith(prefix)):
            yield self._named(whole)
            return
        behind = WEB + "\U0010ffff"  # all of WEB is before it
        if not prefix.startswith(WEB) and after < WEB:
            yield self._named(Span(self.state, prefix, after, WEB))
        if after < behind:
            yield self._named(Span(self.web, max(prefix, WEB), after))
        if not prefix.startswith(WEB):
            yield self._named(Span(self.state, prefix, max(after, behind)))

    def _named(self, span: Span) -> Span:
        after, end = (self.directory + key if key else "" for key in (span.after, span.end))
        return Span(span.container, self.directory + span.prefix, after, end)
