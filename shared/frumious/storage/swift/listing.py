"""What is in a container, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from frumious.storage.swift.account import NotThere

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Span


async def listing(account: SwiftAccount, span: Span) -> AsyncGenerator[dict[str, Any], None]:
    """Give the objects of a part of a container, in the order of the names' UTF-8.

    Each with its `name`, and its size in `bytes`. A container that is not there has none. Only an
    empty page is the last: of a sharded container, others may be short as well.
    """
    after = span.after
    while True:
        try:
            page = await account.do(
                lambda swift: _page(swift, span, after),  # noqa: B023
                str(span),
                read_only=True,
            )
        except NotThere:
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
    found: list[dict[str, Any]] = entries
    return found
