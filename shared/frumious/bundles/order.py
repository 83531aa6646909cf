"""Whether a bundle follows what a mirror has imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.bundles.errors import WrongOrder
from frumious.model import layout

if TYPE_CHECKING:
    from frumious.bundles.manifest import Head
    from frumious.state.bundle_records import Imported


def is_next(name: str, head: Head, imported: Imported | None) -> bool:
    """Return whether the bundle with this head is the next one; False: it was imported before.

    Raises:
        WrongOrder: it is neither.
    """
    if head.projects is not None:
        if imported is not None and (imported.id is not None or imported.source != head.source):
            msg = (
                f"{name} has named projects only, and this mirror is kept in step by other bundles:"
                " import it into a mirror of its own"
            )
            raise WrongOrder(msg)
        return True
    if imported is None or imported.id is None:
        if head.previous is not None:
            msg = (
                f"{name} begins at serial {head.since}, and this mirror has imported nothing yet:"
                f" import the bundles up to serial {head.since} first, or a complete one"
                " (export --since 0)"
            )
            raise WrongOrder(msg)
        return True
    if head.source != imported.source:
        msg = (
            f"{name} is of another mirror than the bundles before; import it into a folder of its"
            f" own, or delete {layout.IMPORT!r} first and import a complete bundle"
        )
        raise WrongOrder(msg)
    if head.sequence <= imported.sequence:
        return False
    if head.previous not in {None, imported.id}:
        missing = f"from serial {imported.serial} to {head.since}"
        if imported.serial == head.since:
            missing = f"with a number between {imported.sequence} and {head.sequence}"
        if imported.serial > head.since:
            msg = (
                f"{name} does not follow number {imported.sequence}, with which this mirror is at"
                f" serial {imported.serial}, but another one up to serial {head.since}: go on with"
                " the bundles of the same destination, or export everything with --since 0"
            )
            raise WrongOrder(msg)
        msg = (
            f"{name} begins at serial {head.since}, and this mirror is at serial"
            f" {imported.serial}: import the missing bundle {missing} first. If it is lost,"
            f" export again with --since {imported.serial}, or with --since 0"
        )
        raise WrongOrder(msg)
    return True
