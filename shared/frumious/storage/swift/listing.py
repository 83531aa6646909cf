"""Lists the objects of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.storage.swift.account import NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Span


async def list_objects(account: SwiftAccount, span: Span) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the objects of a span in the order of their names' UTF-8.

    Each has a `name` and a size in `bytes`. A container that does not exist has no objects. A short
    page need not be the last one, because a container may be sharded; an empty page is.
    """
    after = span.after
    while True:
        try:
            page = await account.run(
                lambda swift: _page(swift, span, after),  # noqa: B023
                str(span),
                read_only=True,
            )
        except NotFound:
            return
        for entry in page:
            yield entry
        if not page:
            return
        after = page[-1]["name"]


def _page(swift: Any, span: Span, after: str) -> list[dict[str, Any]]:  # noqa: ANN401
    _, entries = swift.get_container(
        span.container, prefix=span.prefix, marker=after or None, end_marker=span.end or None
    )
    page: list[dict[str, Any]] = entries
    return page
