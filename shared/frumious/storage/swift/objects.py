"""Lists the objects of a container, and deletes many: in bulk if the cluster supports it."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from frumious.concurrency import run_all
from frumious.storage.protocol import StorageUnavailable
from frumious.storage.swift.account import NotFound, response_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Location, Span

_BULK_SIZE: Final = 50  # names in one request; a cluster deletes two at a time
_MAX_REQUESTS: Final = 4  # at once


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


async def delete_locations(
    account: SwiftAccount, locations: Sequence[Location], *, in_bulk: bool
) -> None:
    """Delete objects; ignore those that do not exist.

    swiftclient tries a failed request again, but not what a deletion in bulk reports as failed.
    """
    requests = asyncio.Semaphore(_MAX_REQUESTS)

    async def delete(batch: Sequence[Location]) -> None:
        async with requests:
            if in_bulk:
                with suppress(StorageUnavailable, NotFound):
                    await account.run(lambda swift: _delete_in_bulk(swift, batch), str(batch[0]))
                    return
            for each in batch:
                with suppress(NotFound):
                    await account.run(partial(_delete, location=each), str(each))

    size = _BULK_SIZE if in_bulk else 1
    starts = range(0, len(locations), size)
    await run_all(delete(locations[start : start + size]) for start in starts)


def _delete(swift: Any, location: Location) -> None:  # noqa: ANN401
    swift.delete_object(location.container, location.name)


def _delete_in_bulk(swift: Any, locations: Sequence[Location]) -> None:  # noqa: ANN401
    names = "".join(f"{quote(f'/{item.container}/{item.name}')}\n" for item in locations)
    _, body = swift.post_account(
        {"Content-Type": "text/plain", "Accept": "application/json"},
        query_string="bulk-delete",
        data=names.encode(),
    )
    result = json.loads(body)
    if errors := result.get("Errors"):
        name, status = errors[0]
        if _number(status) == HTTPStatus.UNAUTHORIZED:  # while it was deleting
            msg = f"the token expired before the deletion of {name!r}"
            raise StorageUnavailable(msg)
        raise response_error(_number(status), f"the deletion of {name!r}", status)
    # The response itself always has the status 200; 404 means that none of them existed.
    if _number(result["Response Status"]) not in {200, 404}:
        msg = f"Swift did not delete {locations[0]} and others: {result['Response Status']}"
        raise StorageUnavailable(msg)


def _number(status: str) -> int:
    return int(status.split(maxsplit=1)[0])
