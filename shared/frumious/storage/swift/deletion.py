"""Many objects deleted: in one request where the cluster can, else one by one."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from frumious.storage.protocol import StorageUnavailable
from frumious.storage.swift.account import NotThere, answered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Location

_AT_ONCE: Final = 50  # names in one request, which a cluster deletes two at a time
_SIDE_BY_SIDE: Final = 4  # requests


async def delete_locations(
    account: SwiftAccount, places: Sequence[Location], *, in_bulk: bool
) -> None:
    """Delete objects; those that are not there are no error."""
    side_by_side = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def delete(some: Sequence[Location]) -> None:
        async with side_by_side:
            with suppress(NotThere):
                await account.do(lambda swift: call(swift, some), str(some[0]))

    call, most = (_delete_in_bulk, _AT_ONCE) if in_bulk else (_delete_one, 1)
    try:
        async with asyncio.TaskGroup() as group:
            for start in range(0, len(places), most):
                group.create_task(delete(places[start : start + most]))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _delete_one(swift: Any, places: Sequence[Location]) -> None:  # noqa: ANN401
    (place,) = places
    swift.delete_object(place.container, place.name)


def _delete_in_bulk(swift: Any, places: Sequence[Location]) -> None:  # noqa: ANN401
    names = "".join(f"{quote(f'/{place.container}/{place.name}')}\n" for place in places)
    _, body = swift.post_account(
        {"Content-Type": "text/plain", "Accept": "application/json"},
        query_string="bulk-delete",
        data=names.encode(),
    )
    said = json.loads(body)
    if failed := said.get("Errors"):
        name, status = failed[0]
        raise answered(_number(status), f"deleting {name!r}", status)
    # It answers 200 whatever happens, and tells here; 404 when none was there.
    if _number(said["Response Status"]) not in {200, 404}:
        msg = f"Swift did not delete {places[0]} and others: {said['Response Status']}"
        raise StorageUnavailable(msg)


def _number(status: str) -> int:
    return int(status.split(maxsplit=1)[0])
