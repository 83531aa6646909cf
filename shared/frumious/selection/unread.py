"""Filters of lists that are read when a run is planned, not with the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from frumious.errors import FrumiousError
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

    from frumious.model.lists import Lists
    from frumious.selection.subject import Release


F = TypeVar("F")


class ListsUnread(FrumiousError):
    """Nobody has read the lists yet that the configuration names."""

    def __init__(self) -> None:
        super().__init__(
            "the lists that the configuration names have not been read: the next run of 'frumious"
            " mirror', or the planner's next tick, reads them"
        )


class Unread(Value, frozen=True):
    """A filter that refuses to decide until its lists have been read."""

    option: ClassVar[str]  # that names the lists

    def resolved(self, lists: Lists) -> Any:  # noqa: ANN401 (a filter of the same kind)
        """Return the filter that follows from the lists; None: it has nothing to do.

        Raises:
            ListsUnread: `lists` are of a configuration without them.
        """
        raise NotImplementedError

    def wants(self, _: NormalizedName) -> NoReturn:
        """Refuse to decide on a project."""
        raise ListsUnread

    def select(self, _: NormalizedName, __: Sequence[Release]) -> NoReturn:
        """Refuse to decide on releases."""
        raise ListsUnread


def resolved(filters: tuple[F, ...], lists: Lists) -> tuple[F, ...]:
    """Return filters, of which each that is unread became the one of its lists.

    Raises:
        ListsUnread: `lists` are of a configuration without some of them.
    """
    found: list[F | None] = [
        each.resolved(lists) if isinstance(each, Unread) else each for each in filters
    ]
    return tuple(each for each in found if each is not None)
